//! The data directory: this node's own, and no other process's while this one runs.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    hash::Hasher as _,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use siphasher::sip::SipHasher13;
use thiserror::Error;

use crate::pipeline::Identity;

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const IDENTITY_NEW: &str = "identity.new";
/// Begins the identity file; another form would have another number.
const IDENTITY_FORM: &str = "1";

/// The data directory, locked until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    /// Holds the lock; the system takes it back however the process ends.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// Something could not be done in it.
    #[error("cannot {what} {}: {source} (setting `data_dir`)", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A second process.
    #[error("another process uses the data directory {}; stop it, or set another `data_dir`", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The identity file is not what was written.
    #[error(
        "the identity in {} is damaged; put it back from a backup, or remove it: then a new one is made, which places \
         users on other shards and does no other harm",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl DataDir {
    /// Makes the directory where it is missing, locks it, and reads or makes the node's identity.
    ///
    /// # Errors
    /// [`DataDirError`], which says what to do.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("make", path))?;
        let path = path.canonicalize().map_err(io_error("find", path))?;
        let mode = path.metadata().map_err(io_error("look at", &path))?.permissions().mode();
        if mode & 0o007 != 0 {
            let mode = format!("{:o}", mode & 0o777);
            tracing::warn!(data_dir = %path.display(), mode, "every user of this machine may enter the data directory");
        }
        let lock = lock(&path)?;
        let identity = identity(&path)?;
        Ok(Self { path, identity, _lock: lock })
    }

    /// Whether a process uses the directory at `path`, which must be there. Nothing in it is made or changed,
    /// and only for a moment could a process that starts find it in use.
    ///
    /// # Errors
    /// [`DataDirError`] where a process that starts would find one, too.
    pub fn is_in_use(path: &Path) -> Result<bool, DataDirError> {
        read_identity_of(path)?;
        let lock = path.join(LOCK);
        let file = match File::open(&lock) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("open", &lock)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &lock)(error)),
        }
    }

    /// The directory, absolute and without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who this node is.
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { what, path, source }
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

/// Reads the identity, or makes one. Called under the lock.
fn identity(dir: &Path) -> Result<Identity, DataDirError> {
    if let Some(identity) = read_identity_of(dir)? {
        return Ok(identity);
    }
    let identity = Identity::random().map_err(io_error("make an identity for", dir))?;
    write_durably(dir, &show_identity(&identity)).map_err(io_error("write", &dir.join(IDENTITY)))?;
    Ok(identity)
}

/// The identity, where there is one.
fn read_identity_of(dir: &Path) -> Result<Option<Identity>, DataDirError> {
    let path = dir.join(IDENTITY);
    match fs::read(&path) {
        Ok(bytes) => match std::str::from_utf8(&bytes).ok().and_then(read_identity) {
            Some(identity) => Ok(Some(identity)),
            None => Err(DataDirError::Damaged { path }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", &path)(error)),
    }
}

/// The whole file or none of it, whenever the machine stops.
fn write_durably(dir: &Path, text: &str) -> io::Result<()> {
    let new = dir.join(IDENTITY_NEW);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(IDENTITY))?;
    // The name is durable only when its directory is.
    File::open(dir)?.sync_all()
}

/// Form, key, node and check, in hex: one line.
fn show_identity(identity: &Identity) -> String {
    let key = u128::from_be_bytes(identity.key);
    format!("{IDENTITY_FORM} {key:032x} {:08x} {:016x}\n", identity.node, check(identity))
}

fn read_identity(text: &str) -> Option<Identity> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [IDENTITY_FORM, key, node, _] = parts[..] else { return None };
    let key = u128::from_str_radix(key, 16).ok()?.to_be_bytes();
    let identity = Identity { key, node: u32::from_str_radix(node, 16).ok()? };
    // The check is part of the text, and so is everything that the numbers alone would let pass.
    (show_identity(&identity) == text).then_some(identity)
}

/// Tells a damaged file from one that was written.
fn check(identity: &Identity) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&identity.key);
    hasher.write(&identity.node.to_be_bytes());
    hasher.finish()
}
