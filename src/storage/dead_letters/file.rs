//! The file: appended to by several processes, a line is whole or noticed to be torn.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The end that appends.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    /// `None` after a failure: what the system then holds of the file is not relied on.
    file: Option<File>,
    /// Whether the last append by this handle was synced, so that the file's end is on the disk.
    is_end_synced: bool,
}

impl Appender {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Some(open(path)?), is_end_synced: false })
    }

    /// Appends whole lines, with one write and one sync. Returns where the file ends now.
    ///
    /// After an error nobody knows what of them is on the disk, and the next sync may say that all
    /// is well: the kernel takes a page for written whose writing failed. So the next append opens
    /// the file anew, and its lines, the same ones again, go to a new place. The sync that follows
    /// speaks of those bytes, which were dirtied after the failure; the first copy is not relied on.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<u64> {
        let file = loop {
            let file = match self.file.take() {
                Some(file) => file,
                None => {
                    self.is_end_synced = false;
                    open(&self.path)?
                }
            };
            // The lock ends with the handle at the latest, whatever happens.
            file.lock()?;
            if is_at(&file, &self.path) {
                break file;
            }
        };
        let end = append_locked(&file, lines, self.is_end_synced)?;
        self.is_end_synced = true;
        if file.unlock().is_ok() {
            self.file = Some(file);
        }
        Ok(end)
    }
}

fn append_locked(mut file: &File, lines: &[u8], is_end_synced: bool) -> io::Result<u64> {
    let before = file.metadata()?.len();
    let mut last = [b'\n'];
    if before > 0 {
        file.read_exact_at(&mut last, before - 1)?;
    }
    // A torn line is ended first. Where the end was not seen to be synced, its line break may be
    // on a page that never reaches the disk: then one comes with these lines.
    let on_fresh_line = before == 0 || (is_end_synced && last == [b'\n']);
    let text = if on_fresh_line { lines.to_vec() } else { [b"\n", lines].concat() };
    if let Err(error) = file.write_all(&text) {
        // Readers do not look while the lock is held, so that nobody has seen what is cut off.
        // Where this fails too, the next append ends the torn line.
        let _ = file.set_len(before);
        return Err(error);
    }
    file.sync_data()?;
    Ok(before + text.len() as u64)
}

/// Opens the file to append, or makes it for its owner alone.
fn open(path: &Path) -> io::Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(no_link).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a file", path.display())));
    }
    // Each time: whoever made the file may have ended before its name was on the disk.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

/// Whether the file is still the one at that path; lines appended to another are lost with it.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let here = file.metadata().map(|file| (file.dev(), file.ino()));
    let there = fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}

/// Reads a part of a file from its own position, so that one handle serves many readers.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
