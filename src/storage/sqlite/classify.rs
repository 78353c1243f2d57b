//! From SQLite's error codes to [`StoreError`]: one table.
//!
//! A code that is not in it is waited out: nothing is ever dropped because of an error that
//! nobody knew. Only a code that speaks of a value makes a bad row.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use super::super::{BadRow, StoreError};

/// Sorts an error of the database at `path`. `row` is the batch index of the row that was being
/// stored, where there was one.
pub(super) fn classify(error: &Error, path: &Path, row: Option<usize>) -> StoreError {
    let Some(failure) = failure(error) else {
        let message = format!("{error}, in the database {}", path.display());
        return StoreError::Transient { code: "SQLITE_DRIVER".into(), message };
    };
    let (code, advice) = named(failure.code);
    let message = message(error, failure.extended_code, path, advice);
    let code = code.to_owned();
    match failure.code {
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => {
            StoreError::BadRow(BadRow { row, code, message })
        }
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied
        | ErrorCode::NoLargeFileSupport => StoreError::Misconfigured { code, message },
        // The statements are always the same: where SQLite does not understand one, the table is
        // missing or another one.
        ErrorCode::Unknown if failure.extended_code & 0xff == ffi::SQLITE_ERROR => {
            StoreError::Misconfigured { code, message }
        }
        _ => StoreError::Transient { code, message },
    }
}

/// Sorts an error of COMMIT. A failed write or sync may still have reached the disk, whose log is
/// read again after a crash: then the rows may be there.
pub(super) fn classify_commit(error: &Error, path: &Path) -> StoreError {
    match (failure(error).map(|failure| failure.code), classify(error, path, None)) {
        (Some(ErrorCode::SystemIoFailure), StoreError::Transient { code, message }) => {
            StoreError::Ambiguous { code, message }
        }
        (_, sorted) => sorted,
    }
}

fn failure(error: &Error) -> Option<&ffi::Error> {
    match error {
        Error::SqliteFailure(failure, _) | Error::SqlInputError { error: failure, .. } => Some(failure),
        _ => None,
    }
}

fn message(error: &Error, extended: i32, path: &Path, advice: &str) -> String {
    format!("{error} (extended code {extended}), in the database {}; {advice}", path.display())
}

/// The code's name, and what to do about it.
fn named(code: ErrorCode) -> (&'static str, &'static str) {
    const RIGHTS: &str = "let the service's user read and write the file and its directory";
    const DAMAGED: &str = "restore the file from a backup, or set `store` to another one";
    const OTHER_PROCESS: &str = "end the other process that holds it";
    const VALUE: &str = "the value does not fit the table";
    const TABLE: &str = "create the table with the command migrate, or set `store` to another file";
    const WAIT: &str = "it is tried again";
    match code {
        ErrorCode::DiskFull => ("SQLITE_FULL", "free space on its disk"),
        ErrorCode::SystemIoFailure => ("SQLITE_IOERR", "look at its disk and the kernel's log"),
        ErrorCode::DatabaseBusy => ("SQLITE_BUSY", OTHER_PROCESS),
        ErrorCode::DatabaseLocked => ("SQLITE_LOCKED", OTHER_PROCESS),
        ErrorCode::FileLockingProtocolFailed => ("SQLITE_PROTOCOL", OTHER_PROCESS),
        ErrorCode::CannotOpen => ("SQLITE_CANTOPEN", RIGHTS),
        ErrorCode::ReadOnly => ("SQLITE_READONLY", RIGHTS),
        ErrorCode::PermissionDenied => ("SQLITE_PERM", RIGHTS),
        ErrorCode::AuthorizationForStatementDenied => ("SQLITE_AUTH", RIGHTS),
        ErrorCode::DatabaseCorrupt => ("SQLITE_CORRUPT", DAMAGED),
        ErrorCode::NotADatabase => ("SQLITE_NOTADB", DAMAGED),
        ErrorCode::NoLargeFileSupport => ("SQLITE_NOLFS", "set `store` to a file on another disk"),
        ErrorCode::ConstraintViolation => ("SQLITE_CONSTRAINT", VALUE),
        ErrorCode::TypeMismatch => ("SQLITE_MISMATCH", VALUE),
        ErrorCode::TooBig => ("SQLITE_TOOBIG", VALUE),
        ErrorCode::OutOfMemory => ("SQLITE_NOMEM", "give the service more memory"),
        ErrorCode::SchemaChanged => ("SQLITE_SCHEMA", WAIT),
        ErrorCode::OperationInterrupted => ("SQLITE_INTERRUPT", WAIT),
        ErrorCode::OperationAborted => ("SQLITE_ABORT", WAIT),
        ErrorCode::Unknown => ("SQLITE_ERROR", TABLE),
        _ => ("SQLITE_OTHER", WAIT),
    }
}
