//! The file against real disks: what is written is read back, whatever stands around it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::mpsc,
    time::Duration,
};

use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::event::{EventType, Micros, Receipt, Source};

/// A file in a directory of its own.
struct Kit {
    dir: TempDir,
}

impl Kit {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    fn open(&self) -> DeadLetters {
        DeadLetters::open(&self.path()).unwrap()
    }

    /// A handle, for a test that needs but one.
    fn open_kept(self) -> (DeadLetters, Self) {
        (self.open(), self)
    }

    /// Writes behind the back of all handles.
    fn write(&self, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

fn letter(id: u128, receipt: u128) -> DeadLetter {
    DeadLetter {
        id: Uuid::from_u128(id),
        receipt: Receipt(receipt),
        reason: Reason::StoreRefused,
        code: "1406".to_owned(),
        detail: "Data too long for column 'user_id'".to_owned(),
        attempts: 1,
        failed_at: Micros(1_700_000_002_000_003),
        received: Micros(1_700_000_001_000_002),
        occurred: Micros(1_700_000_000_000_001),
        event: SentEvent {
            kind: EventType::SensorData,
            source: Source::IotDevice,
            user_id: Some("Zoë".to_owned()),
            timestamp: Some("2023-11-14T23:13:20.000001+01:00".to_owned()),
            data: r#"{"n":1.50}"#.to_owned(),
        },
        row: Some(RefusedRow {
            processed_data: r#"{"data":{"n":1.50}}"#.to_owned(),
            processing_time_ms: 7,
            processed: Micros(1_700_000_001_000_000),
        }),
    }
}

fn mark(receipt: u128, how: Resolution) -> Mark {
    Mark { receipt: Receipt(receipt), how, at: Micros(1_700_000_003_000_000) }
}

fn open_letters(letters: &DeadLetters) -> u64 {
    letters.counts().open.iter().map(|count| count.letters).sum()
}

/// Reads back what is open, in the file's order.
fn read_back(letters: &DeadLetters) -> Vec<DeadLetter> {
    let history = History::open(letters.path()).unwrap();
    let open = history.entries().iter().filter(|entry| entry.resolved().is_none());
    open.map(|entry| history.letter(entry).unwrap().unwrap()).collect()
}

fn find(letters: &DeadLetters, id: u128) -> Option<DeadLetter> {
    letters.find(Uuid::from_u128(id)).unwrap()
}

#[test]
fn a_line_has_the_documented_fields() {
    let kit = Kit::new();
    kit.open().append(&[letter(0xa, 0xb)]).unwrap();
    kit.open().resolve(&[mark(0xb, Resolution::Retried)]).unwrap();
    let expected = concat!(
        r#"{"id":"00000000-0000-0000-0000-00000000000a","receipt":"0000000000000000000000000000000b","#,
        r#""reason":"store_refused","code":"1406","detail":"Data too long for column 'user_id'","attempts":1,"#,
        r#""failed_at":"2023-11-14T22:13:22.000003Z","received_at":"2023-11-14T22:13:21.000002Z","#,
        r#""occurred_at":"2023-11-14T22:13:20.000001Z","event":{"type":"sensor_data","source":"iot_device","#,
        r#""user_id":"Zoë","timestamp":"2023-11-14T23:13:20.000001+01:00","data":{"n":1.50}},"#,
        r#""row":{"processed_data":{"data":{"n":1.50}},"processing_time_ms":7,"#,
        r#""processed_at":"2023-11-14T22:13:21.000000Z"}}"#,
        "\n\n",
        r#"{"resolved":"0000000000000000000000000000000b","how":"retried","at":"2023-11-14T22:13:23.000000Z"}"#,
        "\n",
    );
    assert_eq!(kit.text(), expected);
}

#[test]
fn the_file_is_for_its_owner_alone_and_no_link() {
    let kit = Kit::new();
    kit.open();
    assert_eq!(fs::metadata(kit.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let link = kit.dir.path().join("link");
    std::os::unix::fs::symlink(kit.path(), &link).unwrap();
    DeadLetters::open(&link).unwrap_err();
    DeadLetters::open(kit.dir.path()).unwrap_err();
}

#[test]
fn a_letter_is_found_until_it_is_resolved() {
    let kit = Kit::new();
    let letters = kit.open();
    assert_eq!(find(&letters, 1), None);
    letters.append(&[letter(1, 10), letter(2, 20)]).unwrap();
    assert_eq!(find(&letters, 1), Some(letter(1, 10)));
    assert_eq!(open_letters(&letters), 2);
    letters.resolve(&[mark(10, Resolution::Discarded)]).unwrap();
    assert_eq!((find(&letters, 1), find(&letters, 2)), (None, Some(letter(2, 20))));
    assert_eq!(open_letters(&letters), 1);
    let again = kit.open();
    assert_eq!((find(&again, 1), find(&again, 2)), (None, Some(letter(2, 20))));
    let history = History::open(again.path()).unwrap();
    let resolved: Vec<_> = history.entries().iter().map(|entry| entry.resolved().map(|mark| mark.how)).collect();
    assert_eq!(resolved, [Some(Resolution::Discarded), None]);
}

#[test]
fn the_newest_open_letters_come_first() {
    let kit = Kit::new();
    let letters = kit.open();
    assert_eq!(letters.newest(3).unwrap(), []);
    letters.append(&(1..=5).map(|number| letter(number, number)).collect::<Vec<_>>()).unwrap();
    kit.open().resolve(&[mark(4, Resolution::Retried)]).unwrap();
    assert_eq!(letters.newest(3).unwrap(), [letter(5, 5), letter(3, 3), letter(2, 2)]);
    assert_eq!(letters.newest(0).unwrap(), []);
    let before = letters.counts().read_bytes;
    letters.append(&[letter(2, 2)]).unwrap();
    assert!(letters.counts().read_bytes > before);
    assert_eq!(letters.newest(9).unwrap().iter().map(|letter| letter.id.as_u128()).collect::<Vec<_>>(), [2, 5, 3, 1]);
}

#[test]
fn of_one_receipt_the_last_letter_counts() {
    let (letters, _kit) = Kit::new().open_kept();
    let second = DeadLetter { attempts: 2, code: "1264".to_owned(), ..letter(1, 10) };
    letters.append(&[letter(1, 10), letter(1, 10)]).unwrap();
    letters.append(std::slice::from_ref(&second)).unwrap();
    assert_eq!(find(&letters, 1).as_ref(), Some(&second));
    assert_eq!(read_back(&letters), [second]);
    let counts = letters.counts();
    assert_eq!(counts.open.iter().map(|count| (count.code.as_str(), count.letters)).collect::<Vec<_>>(), [("1264", 1)]);
}

#[test]
fn a_letter_behind_its_mark_is_open_again() {
    let (letters, _kit) = Kit::new().open_kept();
    letters.append(&[letter(1, 10)]).unwrap();
    letters.resolve(&[mark(10, Resolution::Discarded)]).unwrap();
    letters.append(&[letter(1, 10)]).unwrap();
    assert_eq!(find(&letters, 1), Some(letter(1, 10)));
    assert_eq!(read_back(&letters), [letter(1, 10)]);
}

#[test]
fn of_one_id_the_newest_open_letter_is_found() {
    let (letters, _kit) = Kit::new().open_kept();
    letters.append(&[letter(1, 10), letter(1, 11)]).unwrap();
    assert_eq!(find(&letters, 1), Some(letter(1, 11)));
    letters.resolve(&[mark(11, Resolution::Retried)]).unwrap();
    assert_eq!(find(&letters, 1), Some(letter(1, 10)));
}

#[test]
fn a_torn_last_line_costs_no_other() {
    let kit = Kit::new();
    kit.open().append(&[letter(1, 10)]).unwrap();
    let whole = kit.text();
    for torn in 1..whole.len() {
        fs::write(kit.path(), &whole).unwrap();
        kit.write(&whole.as_bytes()[..torn]);
        let letters = kit.open();
        assert_eq!(letters.counts().unreadable_lines, 0, "what is torn may still be being written");
        letters.append(&[letter(2, 20)]).unwrap();
        assert_eq!(read_back(&letters), [letter(1, 10), letter(2, 20)], "{torn}");
        assert_eq!(find(&letters, 2), Some(letter(2, 20)), "{torn}");
        assert_eq!(kit.open().counts(), letters.counts());
        assert_eq!(letters.counts().unreadable_lines, u64::from(torn < whole.len() - 1), "{torn}");
    }
}

#[test]
fn a_line_torn_while_open_costs_no_other() {
    let kit = Kit::new();
    let letters = kit.open();
    letters.append(&[letter(1, 10)]).unwrap();
    kit.write(b"{\"id\":\"0");
    assert_eq!(find(&letters, 1), Some(letter(1, 10)));
    letters.append(&[letter(2, 20)]).unwrap();
    assert_eq!(read_back(&letters), [letter(1, 10), letter(2, 20)]);
    assert_eq!(find(&letters, 2), Some(letter(2, 20)));
}

#[test]
fn damage_in_the_middle_is_skipped_counted_and_left_there() {
    let kit = Kit::new();
    kit.open().append(&[letter(1, 10)]).unwrap();
    let damage = b"no json\n\xff\xfe\n{\"id\":1}\n\0\0\0\0\n[]\n\n";
    kit.write(damage);
    kit.open().append(&[letter(2, 20)]).unwrap();
    let letters = kit.open();
    assert_eq!(read_back(&letters), [letter(1, 10), letter(2, 20)]);
    assert_eq!((open_letters(&letters), letters.counts().unreadable_lines), (2, 5));
    assert_eq!(History::open(letters.path()).unwrap().unreadable_lines(), 5);
    assert!(fs::read(kit.path()).unwrap().windows(damage.len()).any(|part| part == damage));
}

#[test]
fn two_handles_append_to_one_file_and_find_each_others_letters() {
    let kit = Kit::new();
    let handles = [kit.open(), kit.open()];
    std::thread::scope(|scope| {
        for (first, letters) in (1..).zip(&handles) {
            scope.spawn(move || {
                for n in 0..50 {
                    let id = 2 * n + first;
                    letters.append(&[letter(id, id), letter(id + 1000, id + 1000)]).unwrap();
                    assert!(find(letters, id).is_some(), "one's own letter is found at once");
                }
            });
        }
    });
    for letters in &handles {
        assert_eq!(letters.counts().unreadable_lines, 0);
        for id in (1..=100).chain(1001..=1100) {
            assert_eq!(find(letters, id), Some(letter(id, id)));
        }
        assert_eq!(open_letters(letters), 200);
    }
}

#[test]
fn another_handles_mark_is_seen() {
    let kit = Kit::new();
    let (service, operator) = (kit.open(), kit.open());
    service.append(&[letter(1, 10)]).unwrap();
    assert_eq!(find(&operator, 1), Some(letter(1, 10)));
    operator.resolve(&[mark(10, Resolution::Retried)]).unwrap();
    assert_eq!(find(&service, 1), None);
    assert_eq!(open_letters(&service), 0);
}

#[test]
fn while_another_appends_nothing_unfinished_is_read_and_nobody_waits() {
    let kit = Kit::new();
    let letters = kit.open();
    letters.append(&[letter(1, 10)]).unwrap();
    let other = OpenOptions::new().append(true).open(kit.path()).unwrap();
    other.lock().unwrap();
    let mut line = serde_json::to_vec(&letter(2, 20)).unwrap();
    line.push(b'\n');
    kit.write(&line);
    assert_eq!((find(&letters, 1), find(&letters, 2)), (Some(letter(1, 10)), None));
    other.unlock().unwrap();
    assert_eq!(find(&letters, 2), Some(letter(2, 20)));
}

#[test]
fn an_append_waits_until_another_has_ended() {
    let kit = Kit::new();
    let letters = kit.open();
    let other = OpenOptions::new().append(true).open(kit.path()).unwrap();
    other.lock().unwrap();
    let line = serde_json::to_string(&letter(1, 10)).unwrap();
    let (begin, end) = line.split_at(line.len() / 2);
    kit.write(begin.as_bytes());
    std::thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        let letters = &letters;
        scope.spawn(move || {
            letters.append(&[letter(2, 20)]).unwrap();
            sender.send(()).unwrap();
        });
        ended.recv_timeout(Duration::from_millis(100)).expect_err("it waits");
        kit.write(format!("{end}\n").as_bytes());
        other.unlock().unwrap();
        ended.recv().unwrap();
    });
    assert_eq!(read_back(&letters), [letter(1, 10), letter(2, 20)]);
    assert_eq!(letters.counts().unreadable_lines, 0);
}

#[test]
fn a_file_that_was_moved_away_or_cut_is_begun_anew() {
    let kit = Kit::new();
    let letters = kit.open();
    letters.append(&[letter(1, 10)]).unwrap();
    let moved = kit.dir.path().join("moved");
    fs::rename(kit.path(), &moved).unwrap();
    assert_eq!(find(&letters, 1), None);
    letters.append(&[letter(2, 20)]).unwrap();
    assert_eq!((find(&letters, 1), find(&letters, 2)), (None, Some(letter(2, 20))));
    assert!(!fs::read_to_string(moved).unwrap().contains(&letter(2, 20).id.to_string()));
    OpenOptions::new().write(true).truncate(true).open(kit.path()).unwrap();
    assert_eq!((find(&letters, 2), open_letters(&letters)), (None, 0));
}

#[test]
fn after_a_failed_append_the_same_letters_are_appended_to_the_file_opened_anew() {
    // Every write to it fails as on a full disk, and so does opening it while it stands in the way.
    let kit = Kit::new();
    let letters = kit.open();
    fs::remove_file(kit.path()).unwrap();
    std::os::unix::fs::symlink("/dev/full", kit.path()).unwrap();
    letters.append(&[letter(1, 10)]).unwrap_err();
    letters.append(&[letter(1, 10)]).unwrap_err();
    assert_eq!(open_letters(&letters), 0);
    fs::remove_file(kit.path()).unwrap();
    letters.append(&[letter(1, 10)]).unwrap();
    assert_eq!(find(&letters, 1), Some(letter(1, 10)));
    assert_eq!(read_back(&kit.open()), [letter(1, 10)]);
}

#[test]
fn what_a_processor_wrote_wrongly_is_kept_letter_for_letter() {
    let (letters, _kit) = Kit::new().open_kept();
    for (receipt, text) in (1..).zip(["{\"a\":}\n", "", "null", "\"", "{} {}", " {\"a\":1}", "{\"a\":\"\u{1}\"}"]) {
        let mut written = letter(receipt, receipt);
        text.clone_into(&mut written.row.as_mut().unwrap().processed_data);
        letters.append(std::slice::from_ref(&written)).unwrap();
        assert_eq!(find(&letters, receipt), Some(written), "{text:?}");
    }
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    let (letters, _kit) = Kit::new().open_kept();
    let mut written = letter(1, 10);
    written.event.data = "{\r\n\t\"a\\n\\r\":\n[1,\n 2.0e5]\n}".to_owned();
    letters.append(&[written]).unwrap();
    assert_eq!(find(&letters, 1).unwrap().event.data, "{  \t\"a\\n\\r\": [1,  2.0e5] }");
}

prop_compose! {
    fn any_letter()(
        (id, receipt, attempts) in any::<(u128, u128, u32)>(),
        (code, detail, key, value) in any::<(String, String, String, String)>(),
        user_id in any::<Option<String>>(),
        timestamp in any::<Option<String>>(),
        failed_at in 0..253_402_300_800_000_000_i64,
        processed_data in prop::option::of(any::<String>()),
        number in any::<f64>(),
        space in "[ \t]{0,3}",
    ) -> DeadLetter {
        let (key, value) = (serde_json::to_string(&key).unwrap(), serde_json::to_string(&value).unwrap());
        let number = if number.is_finite() { number } else { 0.0 };
        let data = format!("{{{key}:{space}{value},{space}{key}:[{number},{number:e}]{space}}}");
        let row = processed_data.map(|processed_data| RefusedRow {
            processed_data, processing_time_ms: attempts as i32, processed: Micros(failed_at),
        });
        DeadLetter {
            code, detail, attempts, row, failed_at: Micros(failed_at),
            received: Micros(failed_at), occurred: Micros(failed_at / 2),
            reason: if attempts % 2 == 0 { Reason::ProcessingFailed } else { Reason::StoreRefused },
            event: SentEvent { user_id, timestamp, data, kind: EventType::ALL[0], source: Source::ALL[3] },
            ..letter(id, receipt)
        }
    }
}

proptest! {
    #[test]
    fn every_letter_is_one_line_and_reads_back_as_it_was(letter in any_letter()) {
        let line = serde_json::to_vec(&letter).unwrap();
        prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        prop_assert_eq!(letter::Line::read(&line), letter::Line::Letter(Box::new(letter)));
    }

    #[test]
    fn no_bytes_make_reading_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let kit = Kit::new();
        kit.write(&bytes);
        kit.open().append(&[letter(1, 10)]).unwrap();
        prop_assert_eq!(read_back(&kit.open()), [letter(1, 10)]);
    }
}
