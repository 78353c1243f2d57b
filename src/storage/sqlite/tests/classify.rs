//! Each of SQLite's codes has one answer.

use rusqlite::{Error, ffi};

use super::super::classify::{classify, classify_commit};
use super::*;
use crate::storage::BadRow;

fn error(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), Some("words".into()))
}

#[test]
fn what_passes_is_waited_out_and_what_does_not_is_told() {
    let path = Path::new("events.db");
    for (code, name, kind) in [
        (ffi::SQLITE_FULL, "SQLITE_FULL", "cannot take it now"),
        (ffi::SQLITE_IOERR_FSYNC, "SQLITE_IOERR", "cannot take it now"),
        (ffi::SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY", "cannot take it now"),
        (ffi::SQLITE_LOCKED, "SQLITE_LOCKED", "cannot take it now"),
        (ffi::SQLITE_CANTOPEN, "SQLITE_CANTOPEN", "cannot take it now"),
        (ffi::SQLITE_NOMEM, "SQLITE_NOMEM", "cannot take it now"),
        (250, "SQLITE_ERROR", "cannot take it now"),
        (ffi::SQLITE_ERROR, "SQLITE_ERROR", "not set up right"),
        (ffi::SQLITE_CORRUPT, "SQLITE_CORRUPT", "not set up right"),
        (ffi::SQLITE_NOTADB, "SQLITE_NOTADB", "not set up right"),
        (ffi::SQLITE_READONLY_DBMOVED, "SQLITE_READONLY", "not set up right"),
        (ffi::SQLITE_PERM, "SQLITE_PERM", "not set up right"),
        (ffi::SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT", "refuses a row"),
        (ffi::SQLITE_CONSTRAINT_DATATYPE, "SQLITE_CONSTRAINT", "refuses a row"),
        (ffi::SQLITE_TOOBIG, "SQLITE_TOOBIG", "refuses a row"),
    ] {
        let sorted = classify(&error(code), path, Some(3));
        assert_eq!(sorted.code(), name, "{sorted}");
        let text = sorted.to_string();
        assert!(text.contains(kind) && text.contains("words") && text.contains("events.db; "), "{code}: {text}");
        if let StoreError::BadRow(BadRow { row, .. }) = sorted {
            assert_eq!(row, Some(3));
        }
    }
}

#[test]
fn after_a_failed_write_of_a_commit_nobody_knows() {
    let path = Path::new("events.db");
    let unknown = classify_commit(&error(ffi::SQLITE_IOERR_FSYNC), path);
    assert!(matches!(unknown, StoreError::Ambiguous { .. }), "{unknown}");
    let full = classify_commit(&error(ffi::SQLITE_FULL), path);
    assert!(matches!(full, StoreError::Transient { .. }), "{full}");
}
