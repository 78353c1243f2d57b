//! A server looked at before anything is stored there: who it is, and whether it would take it.
//!
//! It is asked over a connection like all others, whose session was set and verified. Nothing is written.

use super::{
    super::StoreError,
    classify::Verdict,
    connect::{Session, rows},
    insert::statement_bytes_max,
    migrate, query,
};
use crate::event::Micros;

const VERSION: &str = "SELECT VERSION()";
/// The server's clock, in µs since the epoch.
const CLOCK: &str = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on')";
const CLUSTER: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
    ('wsrep_cluster_size', 'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_ready')";

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version, as it writes it.
    pub version: String,
    /// Whether the table is there.
    ///
    /// # Errors
    /// Where it is, but cannot hold what is stored.
    pub table: Result<bool, StoreError>,
    /// Whether rows could be written now.
    ///
    /// # Errors
    /// Why not.
    pub writes: Result<(), StoreError>,
    /// The variable, if any, by which it is read-only.
    pub read_only: Option<String>,
    /// Its part in a Galera cluster, if it has one.
    pub cluster: Option<Cluster>,
    /// Bytes of the largest row that it reads (its `max_allowed_packet`).
    pub row_bytes_max: usize,
    /// Bytes of the largest statement of several rows that is sent to it.
    pub statement_bytes_max: usize,
    /// The setting, if any, with which it forgets commits in a crash.
    pub forgetful: Option<&'static str>,
    /// How far its clock is ahead of this machine's, in µs.
    pub clock_ahead_us: i64,
}

/// A server's part in a Galera cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// How many nodes it sees, `wsrep_cluster_size`.
    pub nodes: String,
    /// `Primary` where it belongs to the majority, `wsrep_cluster_status`.
    pub status: String,
    /// Such as `Synced` or `Donor/Desynced`, `wsrep_local_state_comment`.
    pub state: String,
    /// Whether it takes statements, `wsrep_ready`.
    pub is_ready: bool,
}

/// Asks for all of it.
pub(super) async fn facts(session: &mut Session) -> Result<ServerFacts, Verdict> {
    let versions: Vec<(String,)> = rows(&mut session.conn, VERSION).await?;
    let version = versions.into_iter().next().map_or_else(String::new, |(version,)| version);
    let before = Micros::now();
    let clocks: Vec<(i64,)> = rows(&mut session.conn, CLOCK).await?;
    let here = (before.0 + Micros::now().0) / 2;
    let clock_ahead_us = clocks.first().map_or(0, |(there,)| there.saturating_sub(here));
    let variables: Vec<(String, String)> = rows(&mut session.conn, VARIABLES).await?;
    let is_on = |value: &str| !["OFF", "0"].contains(&value);
    let read_only = variables.iter().find(|(name, value)| name.ends_with("read_only") && is_on(value));
    let read_only = read_only.map(|(name, _)| name.clone());
    let is_node = variables.iter().any(|(name, value)| name == "wsrep_on" && is_on(value));
    let cluster = if is_node { Some(cluster(session).await?) } else { None };
    // An answer about the table, or about rows, is no failure of asking.
    let table = migrate::is_there(session).await.map_err(|verdict| verdict.error);
    let writes = match table {
        Ok(true) => query::health(session).await.map_err(|verdict| verdict.error),
        _ => Ok(()),
    };
    Ok(ServerFacts {
        version,
        table,
        writes,
        read_only,
        cluster,
        row_bytes_max: session.packet_bytes_max,
        statement_bytes_max: statement_bytes_max(session.packet_bytes_max),
        forgetful: session.forgetful,
        clock_ahead_us,
    })
}

async fn cluster(session: &mut Session) -> Result<Cluster, Verdict> {
    let status: Vec<(String, String)> = rows(&mut session.conn, CLUSTER).await?;
    let value = |name: &str| {
        let found = status.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or_else(|| "unknown".to_owned(), |(_, value)| value.clone())
    };
    Ok(Cluster {
        nodes: value("wsrep_cluster_size"),
        status: value("wsrep_cluster_status"),
        state: value("wsrep_local_state_comment"),
        is_ready: value("wsrep_ready") == "ON",
    })
}
