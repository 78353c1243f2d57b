//! The command line: what it says, and its exit codes.

use std::{
    fs,
    io::{Read as _, Write as _},
    sync::Arc,
};

use tempfile::TempDir;

use crate::kit::server::{Server, binary, run};

#[test]
fn help_and_version_are_there_for_every_command() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["migrate", "--help"]] {
        let (code, out, _) = run(binary().args(arguments));
        assert_eq!(code, 0, "{arguments:?}");
        assert!(out.contains("Usage:"), "{out}");
    }
    let (code, out, _) = run(binary().arg("--version"));
    assert_eq!(code, 0);
    assert!(out.starts_with(&format!("event-pipeline {}", env!("CARGO_PKG_VERSION"))), "{out}");
}

#[test]
fn wrong_settings_end_with_2_and_name_the_key() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("data");
    let file = dir.path().join("settings.toml");
    fs::write(&file, "[batch]\nmax_evnts = 3\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, environment, named) in [
        (&["--batch.max_events", "none"][..], None, "batch.max_events"),
        (&["--no-such-flag", "1"], None, "--no-such-flag"),
        (&["--config", file], None, "max_evnts"),
        (&["--ack", "fast"], None, "ack"),
        (&["--journal.max_bytes", "64MiB"], None, "journal.max_bytes"),
        (&["--store", "oracle://x"], None, "store"),
        (&[], Some(("EVENT_PIPELINE_SHRDS", "2")), "EVENT_PIPELINE_SHRDS"),
        (&[], Some(("EVENT_PIPELINE_HTTP__IDLE_TIMEOUT", "soon")), "http.idle_timeout"),
        (&["no-such-command"], None, "no-such-command"),
    ] {
        let mut command = binary();
        command.args(arguments).env("EVENT_PIPELINE_DATA_DIR", &data_dir).envs(environment);
        let (code, _, err) = run(&mut command);
        assert_eq!(code, 2, "{arguments:?} {environment:?}: {err}");
        assert!(err.contains(named), "{named}: {err}");
    }
    assert!(!data_dir.exists(), "nothing was made");
}

#[test]
fn an_address_that_is_taken_ends_with_1_and_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = TempDir::new().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(binary().args(["--listen", &address]).arg("--data_dir").arg(dir.path().join("data")));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&address), "{err}");
}

#[test]
fn a_data_directory_serves_one_process() {
    let server = Server::start(&[]);
    let (code, _, err) =
        run(binary().args(["--listen", "127.0.0.1:0"]).arg("--data_dir").arg(server.data_dir.path().join("data")));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("another process"), "{err}");
}

#[test]
fn a_healthcheck_tells_a_service_that_lives_from_one_that_does_not() {
    let server = Server::start(&[]);
    let check = |address: &str| run(binary().args(["healthcheck", "--listen", address]));
    let (code, _, err) = check(&server.address().to_string());
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = check(&format!("0.0.0.0:{}", server.address().port()));
    assert_eq!(code, 0, "as a container sets it: {err}");
    let gone = server.address().to_string();
    drop(server);
    let (code, _, err) = check(&gone);
    assert_eq!(code, 1);
    assert!(err.contains(&gone), "{err}");
}

#[test]
fn a_healthcheck_is_not_taken_in_by_another_service() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    });
    let (code, _, err) = run(binary().args(["healthcheck", "--listen", &address]));
    answering.join().unwrap();
    assert_eq!(code, 1);
    assert!(err.contains("404"), "{err}");
}

#[test]
fn migrate_makes_the_table_once_and_can_only_print() {
    let dir = Arc::new(TempDir::new().unwrap());
    let migrate =
        |more: &[&str]| run(binary().arg("migrate").args(more).env("EVENT_PIPELINE_DATA_DIR", dir.path().join("data")));
    let (code, printed, _) = migrate(&["--print"]);
    assert_eq!(code, 0);
    assert!(printed.contains("CREATE TABLE IF NOT EXISTS processed_events"), "{printed}");
    assert!(!dir.path().join("data").exists(), "printing makes nothing");
    let (code, first, err) = migrate(&[]);
    assert_eq!(code, 0, "{err}");
    let (code, second, _) = migrate(&[]);
    assert_eq!(code, 0);
    assert_ne!(first, second, "it says what it did");
}

#[test]
fn a_password_comes_from_a_file_and_never_shows() {
    let dir = TempDir::new().unwrap();
    let secret = dir.path().join("store");
    fs::write(&secret, "mysql://nobody:s3cr3t-word@127.0.0.1:1/none\n").unwrap();
    let (code, out, err) = run(binary().arg("migrate").env("EVENT_PIPELINE_STORE_FILE", &secret));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("127.0.0.1:1"), "{err}");
    assert!(!err.contains("s3cr3t-word") && !out.contains("s3cr3t-word"), "{err}");
}
