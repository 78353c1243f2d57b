//! The servers of a MySQL store: each as it was found, held against what the service needs.

use super::{
    Finding, Status,
    store::{SCHEMA, STORE, table},
};
use crate::{
    cli::text::{printable, size},
    config::Settings,
    storage::{
        StoreError,
        mysql::{Cluster, ServerFacts},
    },
};

/// How far the clocks may be apart, in µs.
const CLOCKS_APART_MAX_US: i64 = 5_000_000;
/// The oldest versions that are tested.
const MYSQL_MIN: (u32, u32) = (8, 0);
const MARIADB_MIN: (u32, u32) = (10, 11);
/// What a row has beside the event's own text, and rather more.
const ROW_BESIDE_BODY_BYTES: usize = 1024;
/// With this `max_allowed_packet` statements are as long as they ever are.
const PACKET_AMPLE: usize = 16 << 20;
const VERSION_CHARS: usize = 60;

/// What is to be said of the servers, in the order of the URL.
pub(super) fn findings(examined: &[(String, Result<ServerFacts, StoreError>)], settings: &Settings) -> Vec<Finding> {
    let is_any_usable = examined.iter().any(|(_, facts)| facts.is_ok());
    examined
        .iter()
        .flat_map(|(host, facts)| {
            let mut found = match facts {
                Ok(facts) => of_server(facts, settings),
                Err(error) => vec![unusable(error, is_any_usable)],
            };
            let is_one_of_several = examined.len() > 1;
            for finding in found.iter_mut().filter(|found| is_one_of_several || found.check == STORE) {
                finding.fact = format!("{host}: {}", finding.fact);
            }
            found
        })
        .collect()
}

/// A server that lets nobody in. Where another one does, the service runs.
fn unusable(error: &StoreError, is_any_usable: bool) -> Finding {
    let (check, advice) = match error.code() {
        "session" => ("session", "find out what between here and the server changes the session"),
        "charset" => (SCHEMA, "run the statement that the message has"),
        _ => match error {
            StoreError::Misconfigured { .. } => (STORE, "mend the login, the database or the setting `store`"),
            _ => (
                STORE,
                "start the server, or let it be reached from here; the service starts without it, and events wait",
            ),
        },
    };
    let status = if is_any_usable { Status::Warn } else { Status::Fail };
    Finding { check, status, fact: error.to_string(), advice: Some(advice.to_owned()) }
}

fn of_server(facts: &ServerFacts, settings: &Settings) -> Vec<Finding> {
    let mut found = vec![version(&facts.version), session(), schema(facts), writes(facts)];
    found.extend(facts.cluster.as_ref().map(cluster));
    found.extend([packet(facts, settings.http.max_body_bytes), crash(facts.forgetful), clock(facts.clock_ahead_us)]);
    found
}

fn version(text: &str) -> Finding {
    let is_mariadb = text.to_ascii_lowercase().contains("mariadb");
    let (name, least) = if is_mariadb { ("MariaDB", MARIADB_MIN) } else { ("MySQL", MYSQL_MIN) };
    let shown = printable(text, VERSION_CHARS);
    let fact = if is_mariadb { format!("answers, {shown}") } else { format!("answers, {name} {shown}") };
    match numbers(text) {
        Some(version) if version >= least => Finding::ok(STORE, fact),
        _ => Finding::warn(STORE, fact, format!("tested are {name} {}.{} and later", least.0, least.1)),
    }
}

/// The first two numbers of a version.
fn numbers(text: &str) -> Option<(u32, u32)> {
    // MariaDB may put the version before its own that old clients understand.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn session() -> Finding {
    Finding::ok("session", "UTC, strict SQL mode, utf8mb4 and READ COMMITTED were set and verified")
}

fn schema(facts: &ServerFacts) -> Finding {
    match &facts.table {
        Ok(is_there) => table(*is_there),
        Err(error) => {
            Finding::fail(SCHEMA, error.to_string(), "compare it with what `event-pipeline migrate --print` prints")
        }
    }
}

fn writes(facts: &ServerFacts) -> Finding {
    const CHECK: &str = "writes";
    match (&facts.writes, &facts.read_only) {
        (Err(error), _) => {
            let advice = "let this login write rows, or name a server that takes them; events wait meanwhile";
            Finding::fail(CHECK, error.to_string(), advice)
        }
        (Ok(()), Some(variable)) => Finding::warn(
            CHECK,
            format!("{variable} is on, which may not bind this login"),
            "make sure that this is the server to write to, and no replica",
        ),
        (Ok(()), None) => Finding::ok(CHECK, "the server is not read-only"),
    }
}

fn cluster(cluster: &Cluster) -> Finding {
    const CHECK: &str = "cluster";
    let Cluster { nodes, status, state, is_ready } = cluster;
    let [nodes, status, state] = [nodes, status, state].map(|text| printable(text, VERSION_CHARS));
    let fact = format!("Galera, {status}, {state}, {nodes} nodes");
    match (status.as_str(), state.as_str(), is_ready) {
        ("Primary", "Synced", true) => Finding::ok(CHECK, fact),
        ("Primary", _, true) => Finding::warn(CHECK, fact, "wait until the node is synced: it is slow until then"),
        _ => Finding::fail(CHECK, fact, "bring the node back into its cluster: it takes nothing until then"),
    }
}

/// Whether the largest event fits. One that does not becomes a dead letter.
fn packet(facts: &ServerFacts, body_bytes_max: usize) -> Finding {
    const CHECK: &str = "max_allowed_packet";
    let (row, statement) = (facts.row_bytes_max, facts.statement_bytes_max);
    let needed = body_bytes_max.saturating_add(ROW_BESIDE_BODY_BYTES);
    let shown = |bytes: usize| size(bytes as u64);
    let fact = format!("{}: rows up to that, statements up to {}", shown(row), shown(statement));
    if row >= needed {
        return Finding::ok(CHECK, fact);
    }
    let advice = format!(
        "set it to {} or more on the server, or `http.max_body_bytes` (now {}) lower: an event that does not fit becomes a \
         dead letter",
        shown(needed.max(PACKET_AMPLE)),
        shown(body_bytes_max)
    );
    Finding::warn(CHECK, fact, advice)
}

fn crash(forgetful: Option<&str>) -> Finding {
    const CHECK: &str = "commits";
    match forgetful {
        None => Finding::ok(CHECK, "the server syncs each of them"),
        Some(setting) => Finding::warn(
            CHECK,
            format!("{setting} is not 1: a crash of the server takes back commits that it had acknowledged"),
            format!("set {setting} = 1 on the server; after a crash `event-pipeline journal replay` stores them again"),
        ),
    }
}

fn clock(ahead_us: i64) -> Finding {
    const CHECK: &str = "clock";
    let seconds = ahead_us.unsigned_abs() as f64 / 1e6;
    let side = if ahead_us < 0 { "behind" } else { "ahead of" };
    let fact = format!("the server's is {seconds:.3} s {side} this machine's");
    if ahead_us.saturating_abs() > CLOCKS_APART_MAX_US {
        let advice = "let both keep time by NTP: rows say when events were received by this machine's clock";
        return Finding::warn(CHECK, fact, advice);
    }
    Finding::ok(CHECK, fact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ServerFacts {
        ServerFacts {
            version: "11.8.3-MariaDB-1".to_owned(),
            table: Ok(true),
            writes: Ok(()),
            read_only: None,
            cluster: None,
            row_bytes_max: 16 << 20,
            statement_bytes_max: 8 << 20,
            forgetful: None,
            clock_ahead_us: -1500,
        }
    }

    fn found(facts: Vec<Result<ServerFacts, StoreError>>) -> Vec<Finding> {
        let hosts = (1..).map(|host| format!("h{host}:3306"));
        findings(&hosts.zip(facts).collect::<Vec<_>>(), &Settings::default())
    }

    /// What is to be seen to, as check and status.
    fn wrong(facts: ServerFacts) -> Vec<(&'static str, Status)> {
        let found = found(vec![Ok(facts)]).into_iter();
        found.filter(|found| found.status != Status::Ok).map(|found| (found.check, found.status)).collect()
    }

    #[test]
    fn a_server_as_it_should_be_has_nothing_to_be_seen_to() {
        assert_eq!(wrong(facts()), []);
        for version in ["8.0.45", "9.4.0", "10.11.6-MariaDB-log", "5.5.5-10.11.6-MariaDB"] {
            assert_eq!(wrong(ServerFacts { version: version.to_owned(), ..facts() }), [], "{version}");
        }
    }

    #[test]
    fn whatever_is_not_as_it_should_be_is_told() {
        let error = |code: &str| StoreError::Misconfigured { code: code.to_owned(), message: "no".to_owned() };
        let node = |status: &str, state: &str| {
            let (status, state) = (status.to_owned(), state.to_owned());
            Some(Cluster { nodes: "3".to_owned(), status, state, is_ready: true })
        };
        for (facts, expected) in [
            (ServerFacts { version: "5.7.44".to_owned(), ..facts() }, (STORE, Status::Warn)),
            (ServerFacts { version: "10.6.1-MariaDB".to_owned(), ..facts() }, (STORE, Status::Warn)),
            (ServerFacts { version: "?".to_owned(), ..facts() }, (STORE, Status::Warn)),
            (ServerFacts { table: Err(error("table")), ..facts() }, (SCHEMA, Status::Fail)),
            (ServerFacts { writes: Err(error("1142")), ..facts() }, ("writes", Status::Fail)),
            (ServerFacts { read_only: Some("read_only".to_owned()), ..facts() }, ("writes", Status::Warn)),
            (ServerFacts { cluster: node("non-Primary", "Initialized"), ..facts() }, ("cluster", Status::Fail)),
            (ServerFacts { cluster: node("Primary", "Donor/Desynced"), ..facts() }, ("cluster", Status::Warn)),
            (ServerFacts { row_bytes_max: 1 << 20, ..facts() }, ("max_allowed_packet", Status::Warn)),
            (ServerFacts { forgetful: Some("sync_binlog"), ..facts() }, ("commits", Status::Warn)),
            (ServerFacts { clock_ahead_us: 6_000_000, ..facts() }, ("clock", Status::Warn)),
            (ServerFacts { clock_ahead_us: i64::MIN, ..facts() }, ("clock", Status::Warn)),
        ] {
            assert_eq!(wrong(facts), [expected]);
        }
        assert_eq!(wrong(ServerFacts { cluster: node("Primary", "Synced"), ..facts() }), []);
    }

    #[test]
    fn one_server_of_several_may_be_away() {
        let away = || StoreError::Transient { code: "io".to_owned(), message: "refused".to_owned() };
        let one = found(vec![Err(away()), Ok(facts())]);
        assert_eq!((one[0].status, one.iter().map(|found| found.status).max()), (Status::Warn, Some(Status::Warn)));
        assert!(one[0].fact.starts_with("h1:3306: ") && one[1].fact.starts_with("h2:3306: "), "{one:?}");
        let none = found(vec![Err(away()), Err(away())]);
        assert!(none.iter().all(|found| (found.check, found.status) == (STORE, Status::Fail)), "{none:?}");
    }
}
