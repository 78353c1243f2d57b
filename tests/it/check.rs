//! `event-pipeline check`: what it finds, what it advises, and that it leaves nothing behind.

use std::{fs, net::TcpListener, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{
    server::{Server, binary, run},
    store::mysql,
    until,
};

/// `check` with a data directory of its own in `dir`, on any port.
fn check(dir: &TempDir, flags: &[&str]) -> Command {
    let mut command = binary();
    command.arg("check").args(flags);
    // What the test does not set itself, as variables, over which flags go.
    command.env("EVENT_PIPELINE_LISTEN", "127.0.0.1:0").env("EVENT_PIPELINE_JOURNAL__MAX_BYTES", "512MiB");
    command.env("EVENT_PIPELINE_DATA_DIR", dir.path().join("data"));
    command
}

/// The findings, and the exit code.
fn found(command: &mut Command) -> (i32, Value) {
    let (code, out, err) = run(command.arg("--json"));
    assert_eq!(out.lines().count(), 1, "{out}{err}");
    (code, serde_json::from_str(&out).unwrap())
}

/// Status and fact of the only finding of that check.
#[track_caller]
fn of(found: &Value, check: &str) -> (String, String) {
    let mut all = found["checks"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let finding = all.next().unwrap_or_else(|| panic!("no {check} in {found}"));
    assert!(all.next().is_none(), "{found}");
    (finding["status"].as_str().unwrap().to_owned(), finding["fact"].as_str().unwrap().to_owned())
}

#[test]
fn a_first_run_is_checked_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let (code, found) = found(&mut check(&dir, &[]));
    assert_eq!(code, 0, "{found}");
    for name in
        ["settings", "data directory", "file system", "disk space", "inodes", "sync", "store", "open files", "listen"]
    {
        let (status, fact) = of(&found, name);
        assert!(["ok", "warn"].contains(&status.as_str()) && !fact.is_empty(), "{name}: {found}");
    }
    assert!(of(&found, "data directory").1.contains("is missing"), "{found}");
    assert!(of(&found, "sync").1.contains("p99"), "{found}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "what it made is gone");

    let (code, out, _) = run(&mut check(&dir, &[]));
    assert_eq!(code, 0);
    assert!(out.contains("  data directory  ") && out.contains("to look at"), "{out}");
    assert!(!out.contains('\x1b'), "{out:?}");
}

#[test]
fn beside_a_running_service_it_goes_on_with_the_rest() {
    let server = Server::start(&[]);
    until("the store to be up", || server.get("/health").json()["status"] == "pass");
    let address = server.address().to_string();
    let files = || {
        let mut names: Vec<_> = fs::read_dir(server.data_dir.path().join("data"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = files();
    let (code, found) = found(&mut check(&server.data_dir, &["--listen", &address]));
    assert_eq!(code, 0, "{found}");
    assert!(of(&found, "data directory").1.contains("in use by a running service"), "{found}");
    assert!(of(&found, "listen").1.contains("in use by a running event-pipeline"), "{found}");
    assert_eq!(of(&found, "schema").0, "ok");
    assert_eq!(files(), before);
    assert_eq!(server.get("/health").json()["status"], "pass");
}

#[test]
fn what_the_service_could_not_do_fails_and_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("data");
    for (flags, name) in [
        (["--listen", &taken.local_addr().unwrap().to_string()], "listen"),
        (["--data_dir", below.to_str().unwrap()], "data directory"),
        (["--store", "sqlite:/nowhere/at/all.db"], "store"),
        (["--store", "mysql://nobody:pass-word@127.0.0.1:1/none"], "store"),
    ] {
        let (code, found) = found(&mut check(&dir, &flags));
        assert_eq!((code, &found["status"]), (1, &"fail".into()), "{found}");
        assert_eq!(of(&found, name).0, "fail", "{found}");
        assert!(!found.to_string().contains("pass-word"), "{found}");
        let (code, out, err) = run(&mut check(&dir, &flags));
        assert_eq!(code, 1, "{err}");
        let lines: Vec<_> = out.lines().collect();
        let at = lines.iter().position(|line| line.starts_with(&format!("FAIL  {name}"))).unwrap();
        assert!(lines[at + 1].contains("▸ "), "{out}");
        assert!(!out.contains("pass-word") && !err.contains("pass-word"), "{out}{err}");
    }
}

#[test]
fn what_may_go_wrong_later_is_a_warning() {
    let dir = TempDir::new().unwrap();
    for (flags, name) in [
        (&["--store", "discard"][..], "store"),
        (&["--journal.max_bytes", "30TiB", "--journal.segment_bytes", "1GiB"], "disk space"),
        (&["--ack", "queued"], "settings"),
    ] {
        let (code, found) = found(&mut check(&dir, flags));
        assert_eq!((code, &found["status"]), (0, &"warn".into()), "{found}");
        assert_eq!(of(&found, name).0, "warn", "{found}");
    }
}

#[test]
fn wrong_settings_end_with_2() {
    let (code, out, err) = run(binary().args(["check", "--ack", "fast"]));
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("setting `ack`"), "{err}");
}

#[tokio::test]
async fn a_server_is_looked_at_and_not_changed() {
    let Some(database) = mysql::Database::create().await else { return };
    let dir = TempDir::new().unwrap();
    let look = || found(&mut check(&dir, &["--store", &database.url()]));
    let (code, found) = look();
    assert_eq!(code, 0, "{found}");
    for (name, expected) in
        [("store", database.address()), ("session", "READ COMMITTED".to_owned()), ("clock", "s ".to_owned())]
    {
        let (status, fact) = of(&found, name);
        assert!(["ok", "warn"].contains(&status.as_str()) && fact.contains(&expected), "{name}: {found}");
    }
    assert!(of(&found, "schema").1.contains("is missing"), "{found}");
    assert!(of(&found, "max_allowed_packet").1.contains("rows up to"), "{found}");
    let password = database.url().split_once('@').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    assert!(password.starts_with("//") || !found.to_string().contains(&password), "{found}");

    database.store().await;
    let (code, found) = look();
    assert_eq!((code, of(&found, "schema").0.as_str()), (0, "ok"), "{found}");
    assert_eq!(database.count().await, 0);

    let mut conn = database.conn().await;
    mysql_async::prelude::Queryable::query_drop(&mut conn, "ALTER TABLE processed_events MODIFY source VARCHAR(5)")
        .await
        .unwrap();
    let (code, found) = look();
    assert_eq!(code, 1, "{found}");
    let (status, fact) = of(&found, "schema");
    assert!(status == "fail" && fact.contains("column source"), "{found}");
}

#[tokio::test]
async fn a_server_that_cannot_be_relied_on_is_told() {
    let Some(server) = mysql::Server::start(&[
        "--innodb-flush-log-at-trx-commit=0",
        "--max-allowed-packet=1M",
        "--character-set-server=latin1",
    ]) else {
        return;
    };
    let database = mysql::Database::create_on(&server.url).await;
    let dir = TempDir::new().unwrap();
    let store = database.url();
    database.store().await;
    let (code, seen) = found(&mut check(&dir, &["--store", &store]));
    assert_eq!(code, 0, "{seen}");
    assert_eq!(of(&seen, "commits").0, "warn", "{seen}");
    assert_eq!(of(&seen, "max_allowed_packet").0, "warn", "{seen}");

    server.sql("SET GLOBAL read_only = 1");
    let (code, seen) = found(&mut check(&dir, &["--store", &store]));
    assert_eq!((code, of(&seen, "writes").0.as_str()), (1, "fail"), "{seen}");
    server.sql("SET GLOBAL read_only = 0");
    let several = database.url_at(&format!("127.0.0.1:1,{}", database.address()));
    let (code, seen) = found(&mut check(&dir, &["--store", &several]));
    assert_eq!(code, 0, "one of two is enough: {seen}");
    assert!(seen.to_string().contains("127.0.0.1:1: "), "{seen}");
}
