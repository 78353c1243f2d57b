//! Which layer goes over which, and what each refuses.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{load, setting};
use crate::config::{SETTINGS, Settings};

/// A settings file in a directory of its own.
fn file(text: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("settings.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

/// What is said about a settings file.
fn file_refusal(text: &str) -> String {
    let (_dir, path) = file(text);
    load(&[], &[], Some(&path)).expect_err(text).to_string()
}

/// What is said about the environment.
fn environment_refusal(environment: &[(&str, &str)]) -> String {
    load(&[], environment, None).expect_err(&format!("{environment:?}")).to_string()
}

#[test]
fn with_nothing_given_all_is_default() {
    assert_eq!(load(&[], &[("PATH", "/bin"), ("HOME", "/")], None).unwrap(), Settings::default());
}

#[test]
fn flags_go_over_variables_over_the_file_over_defaults() {
    let (_dir, path) = file("shards = 1\n[batch]\nmax_events = 1\nmax_bytes = '1KiB'\n[queue]\nmax_events = 1_000\n");
    let environment = [("EVENT_PIPELINE_BATCH__MAX_EVENTS", "2"), ("EVENT_PIPELINE_SHARDS", "2")];
    let settings = load(&[("shards", "3")], &environment, Some(&path)).unwrap();
    assert_eq!(settings.pipeline.shards, 3, "the flag");
    assert_eq!(settings.pipeline.batch.max_events, 2, "the variable");
    assert_eq!(settings.pipeline.batch.max_bytes, 1024, "the file");
    assert_eq!(settings.pipeline.queue.events, 1000, "the file");
    assert_eq!(settings.pipeline.queue.bytes, Settings::default().pipeline.queue.bytes, "the default");
}

#[test]
fn every_setting_can_be_given_in_every_layer() {
    for setting in SETTINGS {
        let text = setting.show(&Settings::default());
        let (section, name) =
            setting.key.split_once('.').map_or((None, setting.key), |(section, name)| (Some(section), name));
        let head = section.map_or_else(String::new, |section| format!("[{section}]\n"));
        let (_dir, path) = file(&format!("{head}{name} = '{text}'\n"));
        let environment = [(setting.variable(), text.clone())];
        let environment = environment.each_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(load(&[(setting.key, &text)], &environment, Some(&path)).unwrap(), Settings::default());
    }
}

#[test]
fn variables_are_named_after_keys() {
    assert_eq!(setting("data_dir").variable(), "EVENT_PIPELINE_DATA_DIR");
    assert_eq!(setting("batch.max_events").variable(), "EVENT_PIPELINE_BATCH__MAX_EVENTS");
}

#[test]
fn a_list_in_the_file_may_be_a_list() {
    let (_dir, path) = file("http.cors_origins = ['https://a.example', 'https://b.example']\n");
    let settings = load(&[], &[], Some(&path)).unwrap();
    assert_eq!(settings.http.cors_origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn a_wrong_value_is_an_error_even_where_another_goes_over_it() {
    let said = load(&[("shards", "1")], &[("EVENT_PIPELINE_SHARDS", "none")], None).unwrap_err().to_string();
    assert!(said.starts_with("setting `shards` (variable EVENT_PIPELINE_SHARDS): \"none\" is not"), "{said}");
}

#[test]
fn an_unknown_key_in_the_file_is_named_with_what_was_meant() {
    for (text, named) in [
        ("[batch]\nmax_evnts = 3\n", "unknown setting `batch.max_evnts`"),
        ("[batch]\nmax_evnts = 3\n", "did you mean `batch.max_events`?"),
        ("[bach]\nmax_events = 3\n", "unknown setting `bach`"),
        ("lisen = 'x'\n", "did you mean `listen`?"),
        ("[batch]\nmax_evens_ = 3\n", "did you mean `batch.max_events`?"),
        ("'batch.max_events' = 3\n", "unknown setting `batch.max_events`"),
        ("batch = 3\n", "unknown setting `batch`"),
        ("[journals]\nkeep = '10m'\n", "unknown setting `journals`"),
    ] {
        let said = file_refusal(text);
        assert!(said.contains(named) && said.contains("settings.toml"), "{said}");
    }
    assert!(!file_refusal("something_else = 1\n").contains("did you mean"));
}

#[test]
fn a_value_of_a_wrong_kind_in_the_file_is_named() {
    for (text, named) in [
        ("shards = 1.5\n", "is a fraction"),
        ("shards = true\n", "is true or false"),
        ("shards = 2026-01-01\n", "is a date"),
        ("[shards]\nx = 1\n", "is a section"),
        ("shards = [1]\n", "is a list of other things"),
        ("shards = -1\n", "\"-1\" is not a whole number"),
    ] {
        let said = file_refusal(text);
        assert!(said.contains("setting `shards`") && said.contains(named), "{said}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line_and_without_its_text() {
    for text in ["shards = 1\nstore = mysql://user:s3cr3t@db/x\n", "shards = 1\nstore = 'mysql://user:s3cr3t@db/x\n"] {
        let said = file_refusal(text);
        assert!(said.contains("settings.toml: line 2: "), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    assert!(file_refusal("shards = 1\nshards = 2\n").contains("line 2: "));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = load(&[], &[], Some(Path::new("no/such/settings.toml"))).unwrap_err().to_string();
    assert!(said.starts_with("settings file no/such/settings.toml: No such file"), "{said}");
}

#[test]
fn an_unknown_variable_is_named_with_what_was_meant() {
    let said = environment_refusal(&[("EVENT_PIPELINE_SHRDS", "2")]);
    assert_eq!(
        said,
        "unknown variable EVENT_PIPELINE_SHRDS: no setting has that name; did you mean EVENT_PIPELINE_SHARDS?"
    );
    let said = environment_refusal(&[("EVENT_PIPELINE_BATCH_MAX_EVENTS", "2")]);
    assert!(said.ends_with("did you mean EVENT_PIPELINE_BATCH__MAX_EVENTS?"), "{said}");
    let said = environment_refusal(&[("EVENT_PIPELINE_STORE_FILE_FILE", "mysql://u:s3cr3t@h/x")]);
    assert!(said.contains("EVENT_PIPELINE_STORE_FILE_FILE") && !said.contains("s3cr3t"), "{said}");
}

#[test]
fn a_variable_that_is_not_utf8_is_named() {
    let environment = [(OsString::from("EVENT_PIPELINE_DATA_DIR"), OsString::from_vec(vec![b'a', 0xff]))];
    let said = Settings::load(&[], environment, None).unwrap_err().to_string();
    assert_eq!(said, "setting `data_dir` (variable EVENT_PIPELINE_DATA_DIR): is not UTF-8");
}

#[test]
fn a_value_may_come_from_a_file_of_its_own() {
    let (dir, path) = file("mysql://user:s3cr3t@db/eventdb\r\n");
    let settings = load(&[], &[("EVENT_PIPELINE_STORE_FILE", path.to_str().unwrap())], None).unwrap();
    assert_eq!(settings.store, "mysql://user:s3cr3t@db/eventdb".parse().unwrap());

    fs::write(&path, "mysql://user:s3cr3t\n").unwrap();
    let said = environment_refusal(&[("EVENT_PIPELINE_STORE_FILE", path.to_str().unwrap())]);
    assert!(said.starts_with("setting `store` (variable EVENT_PIPELINE_STORE_FILE): "), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");

    let missing = dir.path().join("missing");
    let said = environment_refusal(&[("EVENT_PIPELINE_STORE_FILE", missing.to_str().unwrap())]);
    assert!(said.contains("EVENT_PIPELINE_STORE_FILE") && said.contains("missing: No such file"), "{said}");
}

#[test]
fn a_value_given_both_ways_is_an_error() {
    let said = environment_refusal(&[("EVENT_PIPELINE_STORE", "sqlite"), ("EVENT_PIPELINE_STORE_FILE", "/x")]);
    assert_eq!(
        said,
        "setting `store`: both EVENT_PIPELINE_STORE and EVENT_PIPELINE_STORE_FILE are set; remove one of them"
    );
}
