//! Settings that are read again: what is taken over, what waits, and that nothing is taken over in part.

use std::{ffi::OsString, fs, path::PathBuf};

use proptest::{collection::vec, prelude::*, sample::Index};
use tempfile::TempDir;

use super::setting;
use crate::config::{Change, Reload, Reloaded, SETTINGS, Settings, Source};

/// A settings file that is read again and again.
struct File {
    path: PathBuf,
    _dir: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let file = Self { path: dir.path().join("settings.toml"), _dir: dir };
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn source(&self, flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Source {
        let flags = flags.iter().map(|(key, value)| (setting(key), (*value).to_owned())).collect();
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Source::new(flags, environment, Some(self.path.clone()))
    }
}

fn change(key: &'static str, old: &str, new: &str) -> Change {
    Change { key, old: old.to_owned(), new: new.to_owned() }
}

#[test]
fn what_can_change_is_taken_over_and_the_rest_is_named() {
    let file = File::new("ack = 'durable'\nshards = 2\n");
    let source = file.source(&[], &[]);
    let running = source.load().unwrap();
    file.write("ack = 'stored'\nshards = 3\n[batch]\nlinger = '7ms'\n");
    let reloaded = source.reload(&running).unwrap();
    assert_eq!(reloaded.changed, [change("ack", "durable", "stored"), change("batch.linger", "2ms", "7ms")]);
    assert_eq!(reloaded.needs_restart, [change("shards", "2", "3")]);
    assert_eq!(reloaded.settings.pipeline.shards, 2, "it runs on with the old one");

    let again = source.reload(&reloaded.settings).unwrap();
    assert_eq!((again.changed.len(), again.needs_restart.len()), (0, 1), "what waits is said each time");
}

#[test]
fn flags_and_variables_stay_over_the_file() {
    let file = File::new("ack = 'durable'\n[batch]\nmax_events = 1\n");
    let source = file.source(&[("ack", "queued")], &[("EVENT_PIPELINE_BATCH__MAX_EVENTS", "2")]);
    let running = source.load().unwrap();
    file.write("ack = 'stored'\n[batch]\nmax_events = 3\n");
    let reloaded = source.reload(&running).unwrap();
    assert_eq!((reloaded.changed, reloaded.needs_restart), (Vec::new(), Vec::new()));
    assert_eq!(reloaded.settings, running);
}

#[test]
fn a_file_with_a_secret_is_read_anew_and_a_new_password_is_told_without_showing_it() {
    let file = File::new("");
    let secret = File::new("mysql://user:s3cr3t-one@db/eventdb\n");
    let source = file.source(&[], &[("EVENT_PIPELINE_STORE_FILE", secret.path.to_str().unwrap())]);
    let running = source.load().unwrap();
    secret.write("mysql://user:s3cr3t-two@db/eventdb\n");
    let reloaded = source.reload(&running).unwrap();
    assert_eq!(reloaded.needs_restart.iter().map(|change| change.key).collect::<Vec<_>>(), ["store"]);
    assert!(!format!("{:?}", reloaded.needs_restart).contains("s3cr3t"), "{:?}", reloaded.needs_restart);
    assert_eq!(reloaded.settings.store, running.store);
}

#[test]
fn one_wrong_value_and_nothing_is_taken_over() {
    let file = File::new("");
    let source = file.source(&[], &[]);
    let running = source.load().unwrap();
    file.write("ack = 'stored'\n[batch]\nlinger = 'soon'\n");
    let said = source.reload(&running).unwrap_err().to_string();
    assert!(said.contains("`batch.linger`"), "{said}");
    fs::remove_file(&file.path).unwrap();
    let said = source.reload(&running).unwrap_err().to_string();
    assert!(said.contains("settings.toml: No such file"), "{said}");
}

#[test]
fn what_would_need_a_restart_with_it_is_refused_as_a_whole() {
    let file = File::new("");
    let source = file.source(&[], &[]);
    let running = source.load().unwrap();
    // Right for a start: but the queue cannot grow while it runs.
    file.write("ack = 'stored'\n[http]\nmax_body_bytes = '64MiB'\n[queue]\nmax_bytes = '128MiB'\n");
    assert!(source.load().is_ok());
    let said = source.reload(&running).unwrap_err().to_string();
    assert!(said.starts_with("setting `queue.max_bytes` (running, and changed by a restart only): 64MiB"), "{said}");
    assert!(said.contains("`http.max_body_bytes` = 64MiB (reloaded)"), "{said}");
}

#[test]
fn a_larger_body_finds_its_room_in_the_journal() {
    let file = File::new("");
    let source = file.source(&[], &[]);
    let running = source.load().unwrap();
    file.write("[http]\nmax_body_bytes = '2MiB'\n");
    let reloaded = source.reload(&running).unwrap();
    assert_eq!(reloaded.settings.pipeline.journal.ready_bytes, 2 * running.pipeline.journal.ready_bytes);
}

/// Values that are right by themselves, of settings that bound each other and of some that do not.
const VALUES: [(&str, &[&str]); 8] = [
    ("queue.max_events", &["50", "1000", "100000"]),
    ("queue.max_bytes", &["1MiB", "64MiB"]),
    ("journal.max_bytes", &["400MiB", "8GiB"]),
    ("http.max_batch_events", &["10", "500"]),
    ("http.max_body_bytes", &["64KiB", "1MiB", "40MiB"]),
    ("ack", &["queued", "stored"]),
    ("shards", &["0", "5"]),
    ("log.level", &["info", "warn"]),
];

proptest! {
    #[test]
    fn a_reload_takes_over_exactly_what_can_change_or_nothing(
        chosen in vec((0..VALUES.len(), any::<Index>()), 0..8),
        before in vec((0..VALUES.len(), any::<Index>()), 0..8),
    ) {
        let text = |chosen: &[(usize, Index)]| {
            let mut lines: Vec<String> = Vec::new();
            let mut seen = Vec::new();
            for (at, index) in chosen {
                let (key, values) = VALUES[*at];
                if !seen.contains(&key) {
                    seen.push(key);
                    lines.push(format!("{key} = '{}'\n", index.get(values)));
                }
            }
            lines.concat()
        };
        let file = File::new(&text(&before));
        let source = file.source(&[], &[]);
        let Ok(running) = source.load() else { return Ok(()) };
        file.write(&text(&chosen));
        match (source.load(), source.reload(&running)) {
            (Err(_), reloaded) => prop_assert!(reloaded.is_err()),
            (Ok(read), Ok(Reloaded { settings, .. })) => {
                for setting in SETTINGS {
                    let from = if setting.reload == Reload::Live { &read } else { &running };
                    prop_assert_eq!(setting.show(&settings), setting.show(from));
                }
                // Whatever it runs with could have been given at the start.
                prop_assert!(is_valid(&settings));
            }
            (Ok(read), Err(_)) => {
                let mut mixed = running.clone();
                SETTINGS.iter().filter(|setting| setting.reload == Reload::Live).for_each(|setting| setting.copy(&mut mixed, &read));
                prop_assert!(!is_valid(&mixed));
            }
        }
    }
}

/// Whether a service could be started with these.
fn is_valid(settings: &Settings) -> bool {
    let flags: Vec<_> = SETTINGS.iter().map(|setting| (setting, setting.show(settings))).collect();
    Settings::load(&flags, [], None).is_ok()
}
