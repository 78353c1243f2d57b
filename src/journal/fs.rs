//! The journal's file system: a seam, so that tests can crash it at every operation.
//!
//! [`Disk`] is the real one. All names are those of files in the journal's one directory. A write
//! is on the disk only after [`File::sync_data`], a name only after [`Fs::sync_dir`]; nothing here
//! promises more, and nothing above relies on more.

use std::{
    fmt::Debug,
    fs,
    io::{self, IoSlice},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is written at a time to zero a file.
static ZERO: Zeros = Zeros([0; 256 << 10]);

/// Zeros that stand where writes past the page cache want them.
#[repr(align(4096))]
struct Zeros([u8; 256 << 10]);

/// How much of it waits for the disk at a time: commits that are synced meanwhile wait behind it.
const ZEROS_UNSYNCED: u64 = 4 << 20;

/// A directory of files.
pub trait Fs: Debug + Send + Sync + 'static {
    /// The names of all files and their lengths in bytes, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a new file of `bytes` zeros, all of them allocated; nothing is synced yet. Where that
    /// fails half-way, the half that was made is removed again.
    ///
    /// # Errors
    /// What the system says; a file of that name that is there already is an error too.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>>;

    /// Opens a file that is there, to be read and written.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name; a file of that name is replaced.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable that were made, changed or removed before.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that can still be allocated on the disk.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub trait File: Debug + Send + Sync {
    /// Reads at `offset` into `buffer`; how many bytes, 0 at the file's end. May be short.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes `parts` one after another at `offset`; how many bytes, which may be fewer than given.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Returns once everything written before is on the disk. After an error nobody knows what is:
    /// it must not be called again.
    ///
    /// # Errors
    /// What the system says.
    fn sync_data(&self) -> io::Result<()>;

    /// The file's length.
    ///
    /// # Errors
    /// What the system says.
    fn bytes(&self) -> io::Result<u64>;
}

/// A directory on a real disk.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    /// Nothing in it may be changed.
    is_read_only: bool,
}

impl Disk {
    /// The directory at `dir`, made (mode 0700) where it is missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        if !dir.is_dir() {
            fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)?;
            if let Some(parent) = dir.parent() {
                fs::File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()?;
            }
        }
        Ok(Self { dir: dir.to_owned(), is_read_only: false })
    }

    /// The directory at `dir`, which must be there, to be read and never changed: another process may
    /// write in it.
    ///
    /// # Errors
    /// Where there is no such directory.
    pub fn for_reading(dir: &Path) -> io::Result<Self> {
        if !fs::metadata(dir)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { dir: dir.to_owned(), is_read_only: true })
    }

    fn options() -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        options
    }

    fn refuse_read_only(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl Fs for Disk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata())
                && metadata.is_file()
            {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        self.refuse_read_only()?;
        let file = Self::options().create_new(true).open(self.dir.join(name))?;
        // Written, not only allocated: the first write to an extent that was only allocated changes
        // metadata, and each sync would have to wait for that.
        let filled = allocate(&file, bytes).and_then(|()| zero(&file, &self.dir.join(name), bytes));
        if let Err(error) = filled {
            drop(file);
            // Should this fail too, the next start finds the file and knows what it is.
            let _ = fs::remove_file(self.dir.join(name));
            return Err(error);
        }
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Self::options().write(!self.is_read_only).open(self.dir.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.refuse_read_only()?;
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.refuse_read_only()?;
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn allocate(file: &fs::File, bytes: u64) -> io::Result<()> {
    // To allocate nothing is an error to the system.
    if bytes > 0 {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    }
    Ok(())
}

/// Fills a file with zeros: past the page cache where that is possible, since nobody reads them, and what
/// it takes of the processor and of the disk's queue is then the least.
fn zero(file: &fs::File, path: &Path, bytes: u64) -> io::Result<()> {
    let mut at = zero_directly(path, bytes)?;
    while at < bytes {
        let length = (bytes - at).min(ZERO.0.len() as u64);
        file.write_all_at(&ZERO.0[..length as usize], at)?;
        at += length;
        sync_zeros(file, at)?;
    }
    Ok(())
}

/// Syncs now and then, so that a commit does not find all of them in the disk's own queue.
fn sync_zeros(file: &fs::File, at: u64) -> io::Result<()> {
    if at.is_multiple_of(ZEROS_UNSYNCED) { file.sync_data() } else { Ok(()) }
}

/// Writes zeros past the page cache, and returns how far; 0 where the file system cannot do that.
fn zero_directly(path: &Path, bytes: u64) -> io::Result<u64> {
    let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::NOFOLLOW;
    let Ok(file) = fs::OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path) else {
        return Ok(0);
    };
    let mut at = 0;
    while at + ZERO.0.len() as u64 <= bytes {
        match file.write_all_at(&ZERO.0, at) {
            Ok(()) => {
                at += ZERO.0.len() as u64;
                sync_zeros(&file, at)?;
            }
            // A wish for another alignment, say.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

impl File for fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(self, parts, offset)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
