//! A cluster whose nodes are killed, halted and told to refuse: the service goes on with another.

use std::{
    process::{Command, Output},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    kit::{store::mysql::say, until},
    scene::Scene,
};

const SECOND: Duration = Duration::from_secs(1);
/// After so long without a word a node counts as gone (`scripts/galera`).
const SUSPECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Three nodes; killed with this.
struct Cluster {
    dir: TempDir,
    /// The nodes' `host:port`.
    hosts: Vec<String>,
    login: String,
}

impl Cluster {
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let output = galera(&["start", dir.path().to_str().unwrap()]);
        if output.status.code() == Some(3) {
            say("LEFT OUT: b5, a Galera cluster: galera-4, rsync or mariadb-server is not installed");
            return None;
        }
        let mut cluster = Self { dir, hosts: Vec::new(), login: String::new() };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let url = String::from_utf8(output.stdout).unwrap();
        let (login, rest) = url.trim().rsplit_once('@').unwrap();
        login.clone_into(&mut cluster.login);
        let (hosts, _) = rest.split_once('/').unwrap();
        cluster.hosts = hosts.split(',').map(str::to_owned).collect();
        Some(cluster)
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// Signals a node, counted from 1.
    fn signal(&self, node: u32, signal: &str) {
        let pid = std::fs::read_to_string(self.dir.path().join(format!("{node}/pid"))).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
    }

    /// Starts a node again, and waits until it has joined.
    fn rejoin(&self, node: u32) {
        let output = galera(&["node", self.path(), &node.to_string()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn sql(&self, node: u32, statement: &str) -> Option<String> {
        let output = galera(&["sql", self.path(), &node.to_string(), statement]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        galera(&["stop", self.path()]);
    }
}

/// Runs the script.
fn galera(arguments: &[&str]) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/galera")).args(arguments).output().unwrap()
}

#[test]
fn b5_nodes_of_a_cluster_fail() {
    let Some(cluster) = Cluster::start() else { return };
    let third = format!("{}@{}/eventdb", cluster.login, cluster.hosts[2]);
    let mut scene = Scene::start_at(&cluster.hosts.join(","), &third);

    // The first one is in use.
    cluster.signal(1, "-KILL");
    scene.heals_within(SUSPECT_TIMEOUT + 3 * SECOND);
    scene.progresses();
    cluster.rejoin(1);

    // Then the second one. It answers no more, and its connections stay: our own limit ends that.
    cluster.signal(2, "-STOP");
    scene.heals_within(event_pipeline::storage::STORE_TIMEOUT + SUSPECT_TIMEOUT + 3 * SECOND);
    scene.progresses();
    cluster.signal(2, "-CONT");

    // Then the third one.
    let before = scene.retries();
    cluster.sql(3, "SET GLOBAL wsrep_reject_queries = 'ALL'").unwrap();
    scene.fails_with(&["1047"], &before);
    scene.heals_within(3 * SECOND);
    scene.progresses();
    cluster.sql(3, "SET GLOBAL wsrep_reject_queries = 'NONE'").unwrap();

    scene.ends();
    let table = format!("{}.processed_events", scene.database().0.name);
    let sum = format!("SELECT COUNT(*), BIT_XOR(CRC32(CONCAT(id, processed_data))) FROM {table}");
    let of_third = cluster.sql(3, &sum).unwrap();
    for node in [1, 2] {
        until("the nodes have the same rows", || cluster.sql(node, &sum).as_ref() == Some(&of_third));
    }
}
