//! The command `dead-letters`: what an operator sees of refused events, and can do with them.

use std::{fs, path::PathBuf, process::Command};

use event_pipeline::{
    event::{EventType, Micros, Receipt, Source},
    storage::dead_letters::{self, DeadLetter, DeadLetters, Reason, RefusedRow, SentEvent},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::kit::{
    server::{Server, binary, run},
    store::Store,
    until,
};

/// A data directory with dead letters, and the command on it.
struct Operator {
    data_dir: PathBuf,
    store: String,
}

impl Operator {
    /// Beside a server that has made its table.
    fn of(server: &Server, store: &Store) -> Self {
        until("the table is there", || server.log().iter().any(|entry| entry["message"] == "the store is up"));
        Self { data_dir: server.data_dir.path().join("data"), store: store.setting() }
    }

    fn append(&self, letters: &[DeadLetter]) {
        DeadLetters::open(&self.data_dir.join(dead_letters::FILE)).unwrap().append(letters).unwrap();
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = binary();
        command.arg("dead-letters").args(arguments).arg("--data_dir").arg(&self.data_dir);
        run(command.args(["--store", &self.store]))
    }

    /// Runs it with `--json`: exit code, and the lines.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let (code, out, err) = self.run(&[arguments, &["--json"]].concat());
        let lines = out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{out}{err}")));
        (code, lines.collect())
    }

    /// Runs it, and it must succeed.
    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    fn open_ids(&self) -> Vec<Value> {
        self.json(&["list"]).1.iter().map(|letter| letter["id"].clone()).collect()
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// A letter of a row that the store takes now.
fn letter(number: u128) -> DeadLetter {
    let receipt = Receipt(number + 0xff00);
    DeadLetter {
        id: id(number),
        receipt,
        reason: Reason::StoreRefused,
        code: "1406".to_owned(),
        detail: format!("Data too long for column 'user_id' at row {number}\u{1b}[2J"),
        attempts: 1,
        failed_at: Micros(1_700_000_002_000_003),
        received: Micros(1_700_000_001_000_002),
        occurred: Micros(1_700_000_000_000_001),
        event: SentEvent {
            kind: EventType::SensorData,
            source: Source::IotDevice,
            user_id: Some(format!("user {number}")),
            timestamp: None,
            data: format!("{{\n\"n\":{number}}}"),
        },
        row: Some(RefusedRow {
            processed_data: format!(r#"{{"data":{{"n":{number}}},"receipt":"{receipt}"}}"#),
            processing_time_ms: 7,
            processed: Micros(1_700_000_001_000_000),
        }),
    }
}

/// A letter of an event that the processor refused.
fn without_row(number: u128) -> DeadLetter {
    let code = "processing_failed".to_owned();
    DeadLetter { reason: Reason::ProcessingFailed, code, row: None, ..letter(number) }
}

fn ids(numbers: impl IntoIterator<Item = u128>) -> Vec<Value> {
    numbers.into_iter().map(|number| json!(id(number))).collect()
}

#[test]
fn list_shows_what_failed_and_why() {
    let server = Server::start(&[]);
    let operator = Operator::of(&server, &Store::Sqlite);
    assert!(operator.succeeds(&["list"]).contains("no dead letters"));
    operator.append(&[letter(1), without_row(2), letter(3)]);
    let table = operator.succeeds(&["list"]);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 4, "{table}");
    for part in ["2023-11-14 22:13:22", &id(1).to_string(), "open", "store_refused", "1406", "sensor_data", "user 1"] {
        assert!(rows[1].contains(part), "{part}: {table}");
    }
    assert!(rows[1].ends_with("Data too long for column 'user_id' at row 1 [2J"), "it cannot drive a terminal");
    assert!(operator.succeeds(&["list", "--limit", "2"]).ends_with("the newest 2 of 3 dead letters\n"));
    assert_eq!(operator.json(&["list", "--limit", "2"]).1.len(), 2);
    assert_eq!(operator.json(&["list", "--code", "processing_failed"]).1.len(), 1);

    operator.succeeds(&["discard", "--id", &id(1).to_string()]);
    assert_eq!(operator.open_ids(), ids([2, 3]));
    let (_, all) = operator.json(&["list", "--all"]);
    assert_eq!((&all[0]["state"], &all[1]["state"]), (&json!("discarded"), &json!("open")));
    assert!(all[0]["resolved_at"].is_string() && all[1].get("resolved_at").is_none());
    assert_eq!(all[0]["event"]["data"], json!({"n": 1}));
    assert_eq!(all[0]["row"]["processed_data"]["data"], json!({"n": 1}));
}

#[test]
fn what_is_exported_can_be_posted_as_it_is_and_counts_once() {
    let server = Server::start(&[]);
    let operator = Operator::of(&server, &Store::Sqlite);
    operator.append(&(0..250).map(without_row).collect::<Vec<_>>());
    let exported = operator.succeeds(&["export"]);
    assert_eq!(exported.lines().count(), 3, "as many events a line as a request may have");
    for attempt in 0..2 {
        for body in exported.lines() {
            let answer = server.post("/events/batch?ack=stored", body);
            assert_eq!(answer.status, 200, "{answer:?}");
            let json = answer.json();
            let new = if attempt == 0 { 0 } else { json["accepted"].as_u64().unwrap() };
            assert_eq!((&json["rejected"], json["duplicate"].as_u64()), (&json!(0), Some(new)), "{json}");
        }
    }
    let rows = Store::Sqlite.rows(&server);
    assert_eq!(rows.len(), 250);
    assert!(rows.iter().all(|row| row.created_at == "2023-11-14 22:13:20"), "they keep their time");

    let file = server.data_dir.path().join("exported");
    let output = file.to_str().unwrap();
    operator.succeeds(&["export", "--output", output, "--id", &id(7).to_string()]);
    let one: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(one["events"][0]["id"], json!(id(7)));
    let (code, _, err) = operator.run(&["export", "--output", output]);
    assert_eq!(code, 1, "no file is overwritten");
    assert!(err.contains(output), "{err}");
}

#[test]
fn retry_stores_the_rows_beside_a_running_service() {
    for store in Store::all() {
        let server = Server::start(&[("store", &store.setting())]);
        let operator = Operator::of(&server, &store);
        let posted = json!({"id": id(3), "type": "system_log", "source": "web", "data": {}});
        assert_eq!(server.post("/events?ack=stored", &posted.to_string()).status, 200);
        operator.append(&[letter(1), without_row(2), letter(3), letter(4)]);
        let (code, summary) = operator.json(&["retry", "--all"]);
        let expected = json!({"stored": 2, "already_there": 1, "refused": 0, "not_retried": 1, "untried": 0});
        assert_eq!((code, &summary[0]), (0, &expected), "{}", store.name());
        assert_eq!(operator.open_ids(), ids([2]));
        let rows = store.rows(&server);
        assert_eq!(rows.len(), 3, "{}", store.name());
        let row = rows.iter().find(|row| row.id == id(1).to_string()).unwrap();
        assert_eq!((row.kind.as_str(), row.source.as_str()), ("sensor_data", "iot_device"));
        assert_eq!(row.user_id.as_deref(), Some("user 1"));
        assert_eq!(
            (row.created_at.as_str(), row.processed_at.as_str()),
            ("2023-11-14 22:13:20", "2023-11-14 22:13:21")
        );
        assert_eq!(row.processing_time_ms, 7);
        assert_eq!(row.processed_data["receipt"], json!(letter(1).receipt.to_string()));
        let kept = rows.iter().find(|row| row.id == id(3).to_string()).unwrap();
        assert_eq!(kept.kind, "system_log", "a row that is there stays as it is");
        let other = json!({"type": "system_log", "source": "web", "data": {}});
        assert_eq!(server.post("/events?ack=stored", &other.to_string()).status, 200, "the service goes on");
        let summary = operator.succeeds(&["retry", "--code", "processing_failed"]);
        assert!(summary.contains("not retried 1") && summary.contains("export"), "{summary}");
    }
}

#[test]
fn what_is_refused_again_stays_and_its_neighbours_are_stored() {
    let server = Server::start(&[]);
    let operator = Operator::of(&server, &Store::Sqlite);
    let database = rusqlite::Connection::open(server.sqlite_path()).unwrap();
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN NEW.user_id IN ('user 7', 'user 8') \
                   BEGIN SELECT RAISE(ABORT, 'not this user'); END";
    database.execute_batch(trigger).unwrap();
    operator.append(&(0..20).map(letter).collect::<Vec<_>>());
    let (code, summary) = operator.json(&["retry", "--all"]);
    assert_eq!((code, &summary[0]["stored"], &summary[0]["refused"]), (1, &json!(18), &json!(2)));
    let (_, open) = operator.json(&["list"]);
    assert_eq!(operator.open_ids(), ids([7, 8]));
    assert_eq!((&open[0]["attempts"], &open[0]["state"]), (&json!(2), &json!("open")));
    assert!(open[0]["detail"].as_str().unwrap().contains("not this user"), "{}", open[0]);
    assert_eq!(Store::Sqlite.rows(&server).len(), 18);

    database.execute_batch("DROP TRIGGER refuse").unwrap();
    let one = id(7).to_string();
    assert!(operator.succeeds(&["retry", "--id", &one]).contains("stored 1"));
    assert_eq!(operator.open_ids(), ids([8]));
    assert!(operator.succeeds(&["retry", "--id", &one]).contains("nothing to do"));
    operator.succeeds(&["retry", "--all"]);
    assert_eq!(Store::Sqlite.rows(&server).len(), 20);
    assert!(operator.succeeds(&["discard", "--all", "--yes"]).contains("nothing to do"));
}

#[test]
fn mysql_costs_only_the_rows_that_it_refuses() {
    for store in Store::all().into_iter().filter(|store| matches!(store, Store::MySql(..))) {
        let server = Server::start(&[("store", &store.setting())]);
        let operator = Operator::of(&server, &store);
        let mut letters: Vec<_> = (0..20).map(letter).collect();
        for bad in [0, 7, 8, 19] {
            letters[bad].event.user_id = Some("x".repeat(51));
        }
        operator.append(&letters);
        let (code, summary) = operator.json(&["retry", "--all"]);
        assert_eq!((code, &summary[0]["stored"], &summary[0]["refused"]), (1, &json!(16), &json!(4)));
        assert_eq!(store.rows(&server).len(), 16);
        let (_, open) = operator.json(&["list", "--code", "1406"]);
        assert_eq!(operator.open_ids(), ids([0, 7, 8, 19]));
        assert!(open.len() == 4 && open.iter().all(|letter| letter["attempts"] == 2), "{open:?}");
    }
}

#[test]
fn a_store_that_cannot_take_them_leaves_them_open() {
    let server = Server::start(&[]);
    let mut operator = Operator::of(&server, &Store::Sqlite);
    operator.append(&[letter(1)]);
    for (store, named) in [
        ("discard", "discard"),
        ("sqlite:no/such/file.db", "no/such/file.db"),
        ("mysql://nobody:s3cr3t@127.0.0.1:1/none", "127.0.0.1:1"),
    ] {
        store.clone_into(&mut operator.store);
        let (code, out, err) = operator.run(&["retry", "--all"]);
        assert_eq!(code, 1, "{store}: {out}{err}");
        assert!(err.contains(named) && !err.contains("s3cr3t"), "{store}: {err}");
        assert_eq!(operator.open_ids(), ids([1]), "{store}");
    }
}

#[test]
fn discard_gives_up_only_what_was_named() {
    let server = Server::start(&[]);
    let operator = Operator::of(&server, &Store::Sqlite);
    operator.append(&[letter(1), without_row(2), letter(3)]);
    let (code, _, err) = operator.run(&["discard", "--all"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(operator.open_ids(), ids([1, 2, 3]));
    assert!(operator.succeeds(&["discard", "--code", "1406", "--yes"]).contains("discarded 2 dead letters"));
    assert_eq!(operator.open_ids(), ids([2]));
    assert!(operator.succeeds(&["discard", "--all", "--yes"]).contains("discarded 1 dead letter\n"));
    assert!(Store::Sqlite.rows(&server).is_empty());
}

#[test]
fn a_full_disk_tears_no_line() {
    let dir = TempDir::new().unwrap();
    let operator = Operator { data_dir: dir.path().to_owned(), store: "sqlite".to_owned() };
    operator.append(&(0..40).map(letter).collect::<Vec<_>>());
    let file = dir.path().join(dead_letters::FILE);
    let before = fs::read(&file).unwrap();
    // A file may grow to so many KiB: the marks' write ends short, and the next one fails.
    let room = before.len() / 1024 + 1;
    let mut full = Command::new("bash");
    full.args(["-c", &format!("trap '' XFSZ; ulimit -f {room}; exec \"$@\""), "bash"]);
    full.arg(binary().get_program()).args(["dead-letters", "discard", "--all", "--yes", "--data_dir"]).arg(dir.path());
    let (code, _, err) = run(&mut full);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(dead_letters::FILE), "{err}");
    assert_eq!(fs::read(&file).unwrap(), before, "what was written of it is cut off again");
    assert!(operator.succeeds(&["discard", "--all", "--yes"]).contains("discarded 40 dead letters"));
}

#[test]
fn help_is_there_for_every_command() {
    for command in ["list", "export", "retry", "discard"] {
        let (code, out, _) = run(binary().args(["dead-letters", command, "--help"]));
        assert!(code == 0 && out.contains(&format!("Usage: event-pipeline dead-letters {command}")), "{out}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_a_missing_directory_with_1() {
    let dir = TempDir::new().unwrap();
    let operator = Operator { data_dir: dir.path().join("none"), store: "sqlite".to_owned() };
    for arguments in [&[][..], &["retry"], &["discard", "--yes"], &["retry", "--id", "x"], &["list", "--limit", "-1"]] {
        let (code, _, err) = operator.run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
    }
    for arguments in [&["list"][..], &["export"], &["retry", "--all"], &["discard", "--all", "--yes"]] {
        let (code, _, err) = operator.run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains("data_dir") && err.contains("none"), "{err}");
    }
    assert!(!operator.data_dir.exists(), "nothing was made");
    fs::create_dir(&operator.data_dir).unwrap();
    assert_eq!(operator.succeeds(&["export"]), "", "what is piped on has events only");
    for arguments in [&["retry", "--all"][..], &["discard", "--all", "--yes"]] {
        assert!(operator.succeeds(arguments).contains("nothing to do"));
    }
    assert_eq!(fs::read_dir(&operator.data_dir).unwrap().count(), 0, "nothing was made");
}
