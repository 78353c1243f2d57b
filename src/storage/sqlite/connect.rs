//! Opening: the file, made with mode 0600, and connections in the one mode that is safe here.
//!
//! What [`Database::to_write`] opens loses no commit at a power loss: its log is synced
//! with every commit, and the settings that make it so were read back.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{super::StoreError, classify::classify};

/// The first version of SQLite without the error by which a checkpoint could lose commits.
const VERSION_MIN: i32 = 3_051_003;

/// How long a call waits for another process that holds the database. Short: whoever called
/// repeats it, and meanwhile the thread answers others.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Pages (4 KiB) in the log at which it is carried over into the database. The more, the more
/// often a page of the indexes is rewritten in the log and then carried over just once.
const CHECKPOINT_PAGES: u32 = 32_768;

/// Memory for pages of one connection, in KiB.
const CACHE_KIB: i32 = 131_072;

/// Size to which the log's file is cut after a checkpoint that was long in coming, in bytes.
const LOG_BYTES_KEPT: u32 = 256 << 20;

/// Makes the file where it is missing. Its directory must be there.
///
/// # Errors
/// [`StoreError::Misconfigured`] where it cannot be made.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let version = rusqlite::version_number();
    if version < VERSION_MIN {
        let message = format!(
            "the SQLite {} in this program can lose commits (the first safe one is {VERSION_MIN}); build it anew",
            rusqlite::version()
        );
        return Err(StoreError::Misconfigured { code: "SQLITE_VERSION".into(), message });
    }
    let unusable = |what: String| Err(StoreError::Misconfigured { code: "SQLITE_CANTOPEN".into(), message: what });
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return unusable(format!(
            "the directory {} for the database {} does not exist; create it, or set `store` to another path",
            directory.display(),
            path.display()
        ));
    }
    if path.is_dir() {
        return unusable(format!("{} is a directory; set `store` to the path of a file", path.display()));
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // Without its name in the directory a power loss could take the file with all commits.
        Ok(_) => File::open(directory)
            .and_then(|directory| directory.sync_all())
            .or_else(|error| unusable(format!("the directory {} cannot be synced: {error}", directory.display()))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => unusable(format!(
            "the database {} cannot be created: {error}; let the service's user write to its directory",
            path.display()
        )),
    }
}

/// A connection, and the file that it was opened on. What is written to a file that was moved
/// away or removed is lost with it, and SQLite would not notice.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
    /// Device and inode.
    file: Option<(u64, u64)>,
}

impl Database {
    /// The connection that writes. It does not make the file: one that vanished while in use must
    /// be noticed.
    ///
    /// # Errors
    /// [`StoreError`] where the file is no database, or cannot be written safely.
    pub(super) fn to_write(path: &Path) -> Result<Self, StoreError> {
        Self::opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE, set_up_writer)
    }

    /// A connection that reads, and never waits for the one that writes.
    ///
    /// # Errors
    /// [`StoreError`] where the file is no database or cannot be read.
    pub(super) fn to_read(path: &Path) -> Result<Self, StoreError> {
        Self::opened(path, OpenFlags::SQLITE_OPEN_READ_ONLY, |_, _| Ok(()))
    }

    /// A connection that could write, and does not: as it closes, nothing of a log stays behind.
    ///
    /// # Errors
    /// [`StoreError`] where the file is no database or cannot be written.
    pub(super) fn to_look(path: &Path) -> Result<Self, StoreError> {
        Self::opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE, refuse_read_only)
    }

    fn opened(
        path: &Path,
        mode: OpenFlags,
        set_up: fn(&Connection, &Path) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let file = identity(path);
        let connection = open(path, mode).map_err(|error| classify(&error, path, None))?;
        set_up(&connection, path)?;
        Ok(Self { path: path.to_owned(), connection, file })
    }

    /// The connection, while the file is where it was.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] where it is another or gone.
    pub(super) fn in_place(&mut self) -> Result<&mut Connection, StoreError> {
        if self.file.is_some() && identity(&self.path) == self.file {
            return Ok(&mut self.connection);
        }
        let message = format!(
            "the database {} was moved, removed or replaced while in use; put it back, or start the service again",
            self.path.display()
        );
        Err(StoreError::Misconfigured { code: "SQLITE_MOVED".into(), message })
    }

    /// The connection, wherever the file is now.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Closes it.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.connection.close().map_err(|(_, error)| error)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn set_up_writer(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| classify(&error, path, None);
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" || synchronous != 2 {
        let message = format!(
            "the database {} cannot be written safely (journal_mode {mode}, synchronous {synchronous}, \
             wanted are wal and 2); set `store` to a file on a local disk",
            path.display()
        );
        return Err(StoreError::Misconfigured { code: "SQLITE_MODE".into(), message });
    }
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_| Ok(())).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)
}

/// A file that may not be written is opened all the same.
fn refuse_read_only(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if !connection.is_readonly("main").map_err(|error| classify(&error, path, None))? {
        return Ok(());
    }
    let message = format!("the database {} cannot be written; let the service's user write to it", path.display());
    Err(StoreError::Misconfigured { code: "SQLITE_READONLY".into(), message })
}

fn open(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    // A path that reads like `file:` or `:memory:` has a meaning of its own unless it starts with
    // a directory.
    let path = if path.is_relative() { Path::new(".").join(path) } else { PathBuf::from(path) };
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A foreign file's schema shall not run code of ours.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(connection)
}
