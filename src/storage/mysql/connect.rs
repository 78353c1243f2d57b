//! One connection to one host: opened, its session set, and the settings verified.
//!
//! A session that is not as the store needs it is refused: with another time zone the same
//! insert stores another time, and without strict mode a server changes values silently.

use std::{
    collections::HashMap,
    io::ErrorKind,
    time::{Duration, Instant},
};

use mysql_async::{
    Conn, Error, IoError, Opts, OptsBuilder, Row, SslOpts, Statement, from_row_opt, prelude::Queryable as _,
};

use super::{
    super::StoreError,
    classify::{Fate, Progress, Verdict, judge},
    url::{Host, MySqlUrl, Tls},
};

/// More than all statements that the store has, so that none is prepared twice.
const STATEMENTS_MAX: usize = 64;
const KEEPALIVE: Duration = Duration::from_secs(30);
/// MySQL's and MariaDB's least `max_allowed_packet`, for a server that does not say its own.
const PACKET_BYTES_MIN: usize = 1024;

const SQL_MODE: &str =
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
/// Waits for locks end before our own limit on a call does: the server says so, and no abandoned
/// statement of ours stays behind in the queue for a table that is altered (by default for a day).
const ROW_LOCK_WAIT_S: &str = "5";
const TABLE_LOCK_WAIT_S: &str = "10";
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const READ: &str = "SHOW SESSION VARIABLES WHERE Variable_name IN ('time_zone', 'sql_mode', \
    'innodb_lock_wait_timeout', 'lock_wait_timeout', 'autocommit', 'character_set_client', \
    'character_set_connection', 'character_set_results', 'tx_isolation', 'transaction_isolation', 'max_allowed_packet', \
    'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog')";
const CHARSET: &str = "SELECT character_set_name FROM information_schema.columns \
    WHERE table_schema = DATABASE() AND table_name = 'processed_events' AND column_name = 'user_id'";

/// A connection whose session is as the store needs it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) conn: Conn,
    /// Its prepared inserts, by how many rows they have.
    pub(super) inserts: HashMap<usize, Statement>,
    /// Index of its host in the URL.
    pub(super) host: usize,
    /// How far the call that has it has come.
    pub(super) progress: Progress,
    /// Its `max_allowed_packet`.
    pub(super) packet_bytes_max: usize,
    /// When it was last given back.
    pub(super) idle_since: Instant,
    /// The setting, if any, with which the server forgets commits in a crash.
    pub(super) forgetful: Option<&'static str>,
}

impl Session {
    /// Judges an error of this connection by how far the call has come.
    pub(super) fn judge(&self, error: &Error) -> Verdict {
        judge(error, self.progress)
    }
}

/// The driver's options for one host.
pub(super) fn options(url: &MySqlUrl, host: &Host) -> Opts {
    let tls = match url.tls {
        Tls::Disabled => None,
        Tls::Required => {
            Some(SslOpts::default().with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
        }
        Tls::VerifyIdentity => {
            let authorities = url.authority.iter().map(|path| path.clone().into()).collect();
            Some(SslOpts::default().with_root_certs(authorities))
        }
    };
    OptsBuilder::default()
        .ip_or_hostname(host.name.clone())
        .tcp_port(host.port)
        .user(Some(url.user.clone()))
        .pass(url.password.clone())
        .db_name(Some(url.database.clone()))
        .ssl_opts(tls)
        .tcp_keepalive(Some(KEEPALIVE))
        .tcp_nodelay(true)
        // Else the driver asks for the server's socket and uses that, wherever it leads.
        .prefer_socket(false)
        .stmt_cache_size(STATEMENTS_MAX)
        .into()
}

/// Connects, sets the session and verifies it. Has no limit of its own in time.
pub(super) async fn open(options: Opts, host: usize) -> Result<Session, StoreError> {
    let failed = |error: Error| judge(&error, Progress::Nothing).error;
    let with_tls = options.ssl_opts().is_some();
    let mut conn = match Conn::new(options).await {
        Ok(conn) => conn,
        // So a certificate that is not accepted is told, and nothing else at this point.
        Err(Error::Io(IoError::Io(error))) if with_tls && error.kind() == ErrorKind::InvalidData => {
            return Err(StoreError::Misconfigured { code: "tls".to_owned(), message: error.to_string() });
        }
        Err(error) => return Err(failed(error)),
    };
    conn.query_drop(ISOLATION).await.map_err(failed)?;
    conn.query_drop(format!(
        "SET time_zone='+00:00', sql_mode='{SQL_MODE}', innodb_lock_wait_timeout={ROW_LOCK_WAIT_S}, \
         lock_wait_timeout={TABLE_LOCK_WAIT_S}, autocommit=1, \
         character_set_client=utf8mb4, character_set_connection=utf8mb4, character_set_results=utf8mb4"
    ))
    .await
    .map_err(failed)?;
    let variables: Vec<(String, String)> = rows(&mut conn, READ).await.map_err(|verdict| verdict.error)?;
    verify(&variables)?;
    let charset: Vec<(Option<String>,)> = rows(&mut conn, CHARSET).await.map_err(|verdict| verdict.error)?;
    if let Some((charset,)) = charset.first() {
        check_charset(charset.as_deref())?;
    }
    let value = |name: &str| value(&variables, name);
    let forgetful = if value("innodb_flush_log_at_trx_commit").is_some_and(|value| value != "1") {
        Some("innodb_flush_log_at_trx_commit")
    } else if value("log_bin") == Some("ON") && value("sync_binlog").is_some_and(|value| value != "1") {
        Some("sync_binlog")
    } else {
        None
    };
    let packet_bytes_max = value("max_allowed_packet").and_then(|value| value.parse().ok());
    Ok(Session {
        host,
        inserts: HashMap::new(),
        progress: Progress::Nothing,
        packet_bytes_max: packet_bytes_max.unwrap_or(PACKET_BYTES_MIN),
        idle_since: Instant::now(),
        forgetful,
        conn,
    })
}

/// All rows of a query without parameters, each as a `T`.
pub(super) async fn rows<T>(conn: &mut Conn, query: &str) -> Result<Vec<T>, Verdict>
where
    T: mysql_async::prelude::FromRow + Send + 'static,
{
    let rows: Vec<Row> = conn.query(query).await.map_err(|error| judge(&error, Progress::Nothing))?;
    rows.into_iter().map(typed).collect()
}

/// A row as a `T`; the driver's own conversion would panic where the types differ.
pub(super) fn typed<T: mysql_async::prelude::FromRow>(row: Row) -> Result<T, Verdict> {
    from_row_opt(row).map_err(|_| Verdict {
        error: StoreError::Misconfigured {
            code: "row".to_owned(),
            message: "the server answered with other types than the table's; compare the table with `migrate --print`"
                .to_owned(),
        },
        fate: Fate::Close,
    })
}

/// Whether `user_id` takes every character; a table made on a server whose default is latin1
/// does not.
pub(super) fn check_charset(charset: Option<&str>) -> Result<(), StoreError> {
    match charset {
        Some("utf8mb4") => Ok(()),
        other => Err(StoreError::Misconfigured {
            code: "charset".to_owned(),
            message: format!(
                "the column user_id of processed_events has the character set {}, which cannot hold every user id; \
                 run: ALTER TABLE processed_events CONVERT TO CHARACTER SET utf8mb4",
                other.unwrap_or("none")
            ),
        }),
    }
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn verify(variables: &[(String, String)]) -> Result<(), StoreError> {
    let isolation =
        if value(variables, "transaction_isolation").is_some() { "transaction_isolation" } else { "tx_isolation" };
    let wanted = [
        ("time_zone", "+00:00"),
        ("sql_mode", SQL_MODE),
        ("innodb_lock_wait_timeout", ROW_LOCK_WAIT_S),
        ("lock_wait_timeout", TABLE_LOCK_WAIT_S),
        ("autocommit", "ON"),
        ("character_set_client", "utf8mb4"),
        ("character_set_connection", "utf8mb4"),
        ("character_set_results", "utf8mb4"),
        (isolation, "READ-COMMITTED"),
    ];
    for (name, wanted) in wanted {
        let found = value(variables, name).unwrap_or("nothing");
        // Servers list the modes in an order of their own.
        if sorted(found) != sorted(wanted) {
            return Err(StoreError::Misconfigured {
                code: "session".to_owned(),
                message: format!(
                    "the session's {name} is {found} after it was set to {wanted}; \
                     find out what between here and the server changes it"
                ),
            });
        }
    }
    Ok(())
}

fn sorted(list: &str) -> Vec<&str> {
    let mut list: Vec<_> = list.split(',').collect();
    list.sort_unstable();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Vec<(String, String)> {
        [
            ("autocommit", "ON"),
            ("character_set_client", "utf8mb4"),
            ("character_set_connection", "utf8mb4"),
            ("character_set_results", "utf8mb4"),
            ("innodb_lock_wait_timeout", "5"),
            ("lock_wait_timeout", "10"),
            (
                "sql_mode",
                "NO_ZERO_IN_DATE,NO_ZERO_DATE,STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
            ),
            ("time_zone", "+00:00"),
            ("tx_isolation", "READ-COMMITTED"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    #[test]
    fn a_session_as_it_was_set_is_accepted() {
        assert_eq!(verify(&variables()), Ok(()));
    }

    #[test]
    fn every_setting_that_differs_is_refused_by_name() {
        for index in 0..variables().len() {
            let mut variables = variables();
            variables[index].1 = "x".to_owned();
            let error = verify(&variables).expect_err(&variables[index].0);
            assert!(error.to_string().contains(&variables[index].0), "{error}");
        }
    }
}
