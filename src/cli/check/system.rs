//! What the settings and this machine's limits say, and whether the address is free.

use std::{net::SocketAddr, thread, time::Duration};

use rustix::process::{Resource, getrlimit};
use serde_json::Value;
use tokio::time::timeout;

use super::{Finding, disk};
use crate::{
    cli::{
        serve::bind,
        service::{Connection, Url, reachable},
        text::{grouped, printable},
    },
    config::{SETTINGS, Settings},
    pipeline::AckLevel,
};

/// Files beside connections and segments: libraries, logs, the database, its connections.
const FILES_BESIDE: u64 = 200;
/// More threads than this a core only take turns.
const SHARDS_A_CORE_MAX: usize = 4;
const GRACE_SHORT: Duration = Duration::from_secs(1);
/// How long whoever has the address may take to say who it is.
const WHO_PATIENCE: Duration = Duration::from_secs(2);
const VERSION_CHARS: usize = 24;

/// Which settings are no defaults, and which are odd for a service in earnest.
pub(super) fn settings(settings: &Settings) -> Finding {
    const CHECK: &str = "settings";
    let default = Settings::default();
    let set = SETTINGS.iter().map(|setting| (setting.key, setting.show(settings), setting.show(&default)));
    let set: Vec<_> = set.filter(|(_, value, default)| value != default).collect();
    let set: Vec<_> = set.into_iter().map(|(key, value, _)| format!("{key} = {value}")).collect();
    let fact = if set.is_empty() { "all are defaults".to_owned() } else { format!("not defaults: {}", set.join(", ")) };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let odd = [
        (settings.pipeline.ack == AckLevel::Queued, "`ack` = queued answers before anything is on the disk"),
        (settings.pipeline.shards > SHARDS_A_CORE_MAX * cores, "`shards` is far more than there are cores"),
        (settings.shutdown.grace < GRACE_SHORT, "`shutdown.grace` leaves no time to store what was accepted"),
        (settings.log.level.eq_ignore_ascii_case("off"), "`log.level` = off hides what goes wrong"),
    ];
    let odd: Vec<_> = odd.into_iter().filter(|(is_odd, _)| *is_odd).map(|(_, what)| what).collect();
    if odd.is_empty() { Finding::ok(CHECK, fact) } else { Finding::warn(CHECK, fact, odd.join("; ")) }
}

/// Whether as many files may be open as there may be connections and segments.
pub(super) fn open_files(settings: &Settings) -> Finding {
    const CHECK: &str = "open files";
    let connections = settings.http.max_connections as u64;
    let needed = connections.saturating_add(disk::segments(settings)).saturating_add(FILES_BESIDE);
    // The service raises its limit to the most that it may have.
    let Some(limit) = getrlimit(Resource::Nofile).maximum else {
        return Finding::ok(CHECK, format!("no limit, and up to {} needed", grouped(needed)));
    };
    let fact = format!("{} allowed, and up to {} needed", grouped(limit), grouped(needed));
    if limit < needed {
        let advice = "raise the limit (LimitNOFILE= of the unit, ulimit -Hn), or set `http.max_connections` lower";
        return Finding::warn(CHECK, fact, advice);
    }
    Finding::ok(CHECK, fact)
}

/// Whether the address can be listened on; where it is taken, by whom.
pub(super) async fn listen(settings: &Settings, is_in_use: bool) -> Finding {
    const CHECK: &str = "listen";
    let address = settings.listen;
    let error = match bind(address) {
        Ok(_) if is_in_use => {
            let fact = format!("{address} is free, though a service uses the data directory");
            return Finding::warn(CHECK, fact, "give this the running service's settings, or stop that service");
        }
        Ok(_) => return Finding::ok(CHECK, format!("{address} is free")),
        Err(error) => error,
    };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        let advice = "set `listen` to an address of this machine, and a port that this user may have";
        return Finding::fail(CHECK, format!("{address} cannot be listened on: {error}"), advice);
    }
    match (who(address).await, is_in_use) {
        (Some(version), true) => {
            Finding::ok(CHECK, format!("{address} is in use by a running event-pipeline {version}"))
        }
        (Some(version), false) => Finding::fail(
            CHECK,
            format!("{address} is in use by an event-pipeline {version} with another data directory"),
            "stop it, or set another `listen`",
        ),
        (None, _) => Finding::fail(
            CHECK,
            format!("{address} is in use by another program"),
            "stop that program, or set another `listen`",
        ),
    }
}

/// The version of the service of ours that listens there, if it is one.
async fn who(address: SocketAddr) -> Option<String> {
    let address = reachable(address);
    let url: Url = format!("http://{address}").parse().ok()?;
    let ask = async {
        let mut connection = Connection::open(&[address]).await.ok()?;
        let (_, body) = connection.get(&url, "/health").await.ok()?;
        let health: Value = serde_json::from_slice(body).ok()?;
        let version = health["version"].as_str()?;
        health["checks"]["journal"].is_array().then(|| printable(version, VERSION_CHARS))
    };
    timeout(WHO_PATIENCE, ask).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::cli::check::Status;

    #[test]
    fn settings_that_are_no_defaults_are_shown_without_their_password() {
        assert_eq!(settings(&Settings::default()), Finding::ok("settings", "all are defaults"));
        let store = "mysql://u:s3cret@h/db".parse().unwrap();
        let found = settings(&Settings { store, ..Settings::default() });
        assert_eq!(found, Finding::ok("settings", "not defaults: store = mysql://u:***@h:3306/db"));
        let mut odd = Settings::default();
        odd.pipeline.ack = AckLevel::Queued;
        odd.shutdown.grace = Duration::ZERO;
        let found = settings(&odd);
        let advice = found.advice.unwrap();
        assert!(found.status == Status::Warn && advice.contains("queued") && advice.contains("grace"), "{advice}");
    }

    #[test]
    fn more_connections_than_files_are_told() {
        let mut settings = Settings::default();
        settings.http.max_connections = 1;
        assert_eq!(open_files(&settings).status, Status::Ok);
        settings.http.max_connections = usize::MAX;
        let found = open_files(&settings);
        assert!(found.status == Status::Warn || found.fact.starts_with("no limit"), "{found:?}");
    }

    #[test]
    fn an_address_is_free_or_taken_or_none_of_ours() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = Settings { listen: taken.local_addr().unwrap(), ..Settings::default() };
        let found = runtime.block_on(listen(&settings, false));
        assert!(found.status == Status::Fail && found.fact.ends_with("by another program"), "{found:?}");
        settings.listen.set_port(0);
        assert_eq!(runtime.block_on(listen(&settings, false)).status, Status::Ok);
        assert_eq!(runtime.block_on(listen(&settings, true)).status, Status::Warn);
        settings.listen = "203.0.113.7:80".parse().unwrap();
        let found = runtime.block_on(listen(&settings, false));
        assert!(found.status == Status::Fail && found.fact.contains("cannot be listened on"), "{found:?}");
    }
}
