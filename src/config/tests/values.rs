//! Each value: what is read, what is refused, what is shown.

use std::time::Duration;

use super::{flag, refusal, setting};
use crate::{
    config::{LogFormat, SETTINGS, Settings},
    pipeline::AckLevel,
    storage::Target,
};

#[test]
fn every_default_is_what_it_says() {
    for setting in SETTINGS {
        let mut settings = Settings::default();
        let text = setting.default_text();
        let written = if text == "none" { "" } else { &text };
        setting.set(&mut settings, written).unwrap();
        assert_eq!(settings, Settings::default(), "{} = {text}", setting.key);
    }
}

#[test]
fn every_setting_has_one_key_and_a_meaning() {
    let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert!(SETTINGS.iter().all(|setting| !setting.meaning.is_empty()));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), SETTINGS.len());
}

#[test]
fn every_setting_changes_what_is_shown_of_it_and_nothing_else() {
    let others = [
        ("listen", "[::1]:9000"),
        ("data_dir", "/var/lib/event-pipeline"),
        ("store", "discard"),
        ("shards", "3"),
        ("ack", "queued"),
        ("ack_timeout", "1500ms"),
        ("batch.max_events", "17"),
        ("batch.max_bytes", "3KiB"),
        ("batch.linger", "7us"),
        ("queue.max_events", "1234"),
        ("queue.max_bytes", "5MiB"),
        ("journal.segment_bytes", "16MiB"),
        ("journal.max_bytes", "4GiB"),
        ("journal.keep", "3h"),
        ("journal.keep_bytes", "2MiB"),
        ("http.max_batch_events", "99"),
        ("http.max_body_bytes", "1000"),
        ("http.max_connections", "12"),
        ("http.header_timeout", "2s"),
        ("http.body_timeout", "3m"),
        ("http.idle_timeout", "4s"),
        ("http.cors_origins", "https://a.example,http://b.example:8080"),
        ("shutdown.grace", "5s"),
        ("shutdown.drain_delay", "250ms"),
        ("log.level", "warn,event_pipeline=trace"),
        ("log.format", "json"),
    ];
    assert_eq!(others.map(|(key, _)| key).as_slice(), SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>());
    for (key, value) in others {
        let settings = flag(key, value).unwrap();
        let mut copied = Settings::default();
        setting(key).copy(&mut copied, &settings);
        for other in SETTINGS {
            let expected = if other.key == key { value.to_owned() } else { other.show(&Settings::default()) };
            assert_eq!(other.show(&settings), expected, "{} after {key} = {value}", other.key);
            assert_eq!(other.show(&copied), expected, "{} with {key} copied", other.key);
        }
    }
}

#[test]
fn words_that_shells_complete_are_values() {
    let with_words: Vec<_> = SETTINGS.iter().filter(|setting| !setting.words().is_empty()).collect();
    assert!(with_words.len() >= 4, "{with_words:?}");
    for setting in with_words {
        for word in setting.words() {
            assert_eq!(setting.show(&flag(setting.key, word).unwrap()), *word, "{}", setting.key);
        }
        assert!(setting.words().contains(&setting.default_text().as_str()), "{}", setting.key);
    }
}

#[test]
fn numbers_sizes_and_durations_are_read_as_people_write_them() {
    assert_eq!(flag("batch.max_events", "20_000").unwrap().pipeline.batch.max_events, 20_000);
    assert_eq!(flag("http.max_body_bytes", "64KiB").unwrap().http.max_body_bytes, 65_536);
    assert_eq!(flag("http.max_body_bytes", "64 kb").unwrap().http.max_body_bytes, 64_000);
    assert_eq!(flag("http.max_body_bytes", "2000").unwrap().http.max_body_bytes, 2000);
    assert_eq!(flag("shutdown.grace", "1m 30s").unwrap().shutdown.grace, Duration::from_secs(90));
    assert_eq!(flag("batch.linger", "0s").unwrap().pipeline.batch.linger, Duration::ZERO);
    assert_eq!(flag("http.cors_origins", "*").unwrap().http.cors_origins, ["*"]);
    assert_eq!(flag("http.cors_origins", "").unwrap().http.cors_origins, [""; 0]);
    assert_eq!(flag("log.format", "json").unwrap().log.format, LogFormat::Json);
    assert_eq!(flag("ack", "queued").unwrap().pipeline.ack, AckLevel::Queued);
    assert_eq!(flag("store", "sqlite:a b.db").unwrap().store, Target::Sqlite(Some("a b.db".into())));
}

#[test]
fn a_wrong_value_is_refused_with_its_key_its_flag_and_what_would_be_right() {
    for (key, value, right) in [
        ("listen", "8080", "127.0.0.1:8080"),
        ("listen", "localhost:8080", "127.0.0.1:8080"),
        ("data_dir", "", "directory"),
        ("store", "oracle://x", "sqlite, sqlite:PATH, mysql://"),
        ("shards", "-1", "whole number"),
        ("shards", "+1", "whole number"),
        ("shards", "_", "whole number"),
        ("shards", "1025", "0 to 1024"),
        ("shards", "99999999999999999999", "whole number"),
        ("ack", "fast", "queued, durable, stored"),
        ("ack_timeout", "10", "10s"),
        ("ack_timeout", "0s", "1ms to 24h"),
        ("batch.max_events", "0", "1 to 1000000"),
        ("batch.max_bytes", "0", "1 to 1GiB"),
        ("batch.max_bytes", "many", "64MiB"),
        ("batch.linger", "2m", "0s to 1m"),
        ("queue.max_events", "16777216", "1 to 16777215"),
        ("queue.max_bytes", "1TiB", "1 to 1099511627775"),
        ("journal.segment_bytes", "63KiB", "64KiB to 1GiB"),
        ("journal.max_bytes", "1KiB", "64KiB to"),
        ("journal.keep", "forever", "duration"),
        ("journal.keep_bytes", "-1", "64MiB"),
        ("http.max_batch_events", "0", "1 to 100000"),
        ("http.max_body_bytes", "99", "100 to 1GiB"),
        ("http.max_connections", "0", "1 to 1000000"),
        ("http.header_timeout", "0s", "1ms to 24h"),
        ("http.body_timeout", "2days", "1ms to 24h"),
        ("http.idle_timeout", "soon", "duration"),
        ("http.cors_origins", "shop.example", "https://shop.example"),
        ("http.cors_origins", "https://shop.example/", "https://shop.example"),
        ("http.cors_origins", "https://", "https://shop.example"),
        ("shutdown.grace", "100000000years", "0s to 24h"),
        ("shutdown.drain_delay", "-1s", "duration"),
        ("log.level", "inof", "info"),
        ("log.level", "event_pipeline=loud", "MODULE=LEVEL"),
        ("log.format", "xml", "text, json"),
    ] {
        let said = refusal(key, value);
        assert!(said.starts_with(&format!("setting `{key}` (flag --{key}): ")), "{said}");
        assert!(said.contains(right), "{key} = {value}: {said}");
    }
}

#[test]
fn a_request_that_may_be_sent_always_fits_into_an_empty_shard() {
    let said = refusal("queue.max_events", "99");
    assert!(said.starts_with("setting `queue.max_events` (flag --queue.max_events): 99 is less than"), "{said}");
    assert!(said.contains("`http.max_batch_events` = 100 (default) it must be at least 100"), "{said}");
    assert!(flag("queue.max_events", "100").is_ok());
    let said = refusal("http.max_body_bytes", "33MiB");
    assert!(said.starts_with("setting `queue.max_bytes` (default): 64MiB is less than"), "{said}");
    assert!(said.contains("`http.max_body_bytes` = 33MiB (flag --http.max_body_bytes)"), "{said}");
    assert!(said.ends_with("at least 66MiB"), "{said}");
    assert!(flag("http.max_body_bytes", "32MiB").is_ok());
    let said = refusal("journal.max_bytes", "320MiB");
    assert!(said.starts_with("setting `journal.max_bytes` (flag --journal.max_bytes): 320MiB is less than"), "{said}");
    assert!(said.ends_with("at least 325MiB"), "{said}");
    assert!(flag("journal.max_bytes", "325MiB").is_ok());
}

#[test]
fn the_journal_has_no_more_files_than_can_be_open() {
    let said = refusal("journal.segment_bytes", "64KiB");
    assert!(said.contains("more than 32768 files") && said.ends_with("at least 256KiB"), "{said}");
    assert!(flag("journal.segment_bytes", "256KiB").is_ok());
}

#[test]
fn a_password_is_in_no_error_and_in_no_debug_output() {
    let url = "mysql://user:s3cr3t@db:3306/eventdb";
    let settings = flag("store", url).unwrap();
    assert!(!format!("{settings:?}").contains("s3cr3t"));
    assert_eq!(setting("store").show(&settings), "mysql://user:***@db:3306/eventdb");
    for wrong in [
        "mysql://user:s3cr3t@db:port/eventdb",
        "mysql://user:s3cr3t@db",
        "mysql://user:s3cr3t",
        "mysql:user:s3cr3t@db",
        "mysql://user:s3cr3t@db/eventdb?x=y",
    ] {
        let said = refusal("store", wrong);
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    for setting in SETTINGS.iter().filter(|setting| !["data_dir", "store"].contains(&setting.key)) {
        for url in [url, "user:s3cr3t@db", "mysql://user:s3cr3t"] {
            let said = refusal(setting.key, url);
            assert!(!said.contains("s3cr3t"), "{said}");
        }
    }
}
