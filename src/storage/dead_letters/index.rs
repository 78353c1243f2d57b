//! Which letters are open and where they lie: what was learnt by reading the file once, and then
//! only what was appended since.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    fs::{File, OpenOptions, TryLockError},
    hash::{BuildHasher as _, RandomState},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    Counts, OpenLetters,
    file::is_at,
    letter::{DeadLetter, Line, Reason},
    lines::Lines,
};
use crate::event::Receipt;

/// Some 150 bytes a letter, however large the letter is.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    /// A handle of its own: a lock belongs to a handle, and the appender's must not change.
    file: Option<File>,
    /// Where the first line begins that was not read yet.
    read_to: u64,
    /// How long the file was then: what lies between is a torn line.
    seen: u64,
    open: HashMap<u128, Place>,
    /// Fingerprint of the id, and receipt.
    by_id: BTreeSet<(u64, u128)>,
    fingerprint: RandomState,
    counts: Vec<OpenLetters>,
    unreadable: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    id: u64,
    count: u32,
}

impl Index {
    /// An index of nothing, to be refreshed.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            read_to: 0,
            seen: 0,
            open: HashMap::new(),
            by_id: BTreeSet::new(),
            fingerprint: RandomState::new(),
            counts: Vec::new(),
            unreadable: 0,
        }
    }

    /// Reads what was appended since, up to `end` where the caller knows how far the file is
    /// settled. Otherwise, while somebody appends, nothing: what is being written may be cut off.
    pub(super) fn refresh(&mut self, end: Option<u64>) -> io::Result<()> {
        let file = match self.file.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => {
                // Moved away or removed, and with it its letters; or not opened yet.
                *self = Self::new(&self.path);
                match open(&self.path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        let read = match end {
            // Another call may have read further meanwhile.
            Some(end) if end <= self.seen => Ok(()),
            Some(end) => self.read(&file, end),
            None => settled_length(&file).and_then(|end| end.map_or(Ok(()), |end| self.read(&file, end))),
        };
        self.file = Some(file);
        read
    }

    fn read(&mut self, file: &File, end: u64) -> io::Result<()> {
        if end < self.seen {
            tracing::warn!(file = %self.path.display(), "the file of dead letters was cut short; it is read anew");
            *self = Self::new(&self.path);
        }
        if end == self.seen {
            return Ok(());
        }
        let unreadable_before = self.unreadable;
        let mut first_unreadable = None;
        let mut lines = Lines::new(file, self.read_to, end);
        while let Some((offset, line)) = lines.read()? {
            match line {
                Line::Letter(letter) => self.add(offset, &letter),
                Line::Mark(mark) => self.remove(mark.receipt),
                Line::Empty => {}
                Line::Unreadable => {
                    self.unreadable += 1;
                    first_unreadable.get_or_insert(offset);
                }
            }
            self.read_to = lines.next_offset();
        }
        self.seen = end;
        if let Some(offset) = first_unreadable {
            let lines = self.unreadable - unreadable_before;
            tracing::warn!(file = %self.path.display(), offset, lines, "dead letters that cannot be read are skipped");
        }
        Ok(())
    }

    fn add(&mut self, offset: u64, letter: &DeadLetter) {
        self.remove(letter.receipt);
        let id = self.fingerprint.hash_one(letter.id);
        let count = self.count_of(letter.reason, &letter.code);
        self.counts[count as usize].letters += 1;
        self.open.insert(letter.receipt.0, Place { offset, id, count });
        self.by_id.insert((id, letter.receipt.0));
    }

    fn remove(&mut self, receipt: Receipt) {
        if let Some(place) = self.open.remove(&receipt.0) {
            self.by_id.remove(&(place.id, receipt.0));
            self.counts[place.count as usize].letters -= 1;
        }
    }

    fn count_of(&mut self, reason: Reason, code: &str) -> u32 {
        let known = self.counts.iter().position(|count| count.reason == reason && count.code == code);
        let place = known.unwrap_or_else(|| {
            self.counts.push(OpenLetters { reason, code: code.to_owned(), letters: 0 });
            self.counts.len() - 1
        });
        u32::try_from(place).expect("stores have few codes")
    }

    /// The newest open letter of that id.
    pub(super) fn find(&self, id: Uuid) -> io::Result<Option<DeadLetter>> {
        let Some(file) = &self.file else { return Ok(None) };
        let fingerprint = self.fingerprint.hash_one(id);
        let receipts = self.by_id.range((fingerprint, 0)..=(fingerprint, u128::MAX));
        let mut offsets: Vec<u64> =
            receipts.filter_map(|(_, receipt)| self.open.get(receipt)).map(|place| place.offset).collect();
        offsets.sort_unstable();
        for offset in offsets.into_iter().rev() {
            // Another id may have the same fingerprint.
            if let Some(letter) = letter_at(file, offset, self.read_to)?
                && letter.id == id
            {
                return Ok(Some(letter));
            }
        }
        Ok(None)
    }

    /// The open letters that were written last, at most so many, the newest first.
    pub(super) fn newest(&self, most: usize) -> io::Result<Vec<DeadLetter>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        // There may be very many, of which few are wanted: they are not sorted.
        let mut offsets = BinaryHeap::with_capacity(most + 1);
        for place in self.open.values() {
            offsets.push(Reverse(place.offset));
            if offsets.len() > most {
                offsets.pop();
            }
        }
        let newest_first = offsets.into_sorted_vec().into_iter();
        newest_first.filter_map(|Reverse(offset)| letter_at(file, offset, self.read_to).transpose()).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let open = self.counts.iter().filter(|count| count.letters > 0).cloned().collect();
        Counts { open, unreadable_lines: self.unreadable, read_bytes: self.seen }
    }
}

/// The file, to be read.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    OpenOptions::new().read(true).custom_flags(no_link).open(path)
}

/// How much of the file stays as it is; `None` while somebody appends.
fn settled_length(file: &File) -> io::Result<Option<u64>> {
    match file.try_lock_shared() {
        Ok(()) => {
            let length = file.metadata().map(|file| file.len());
            file.unlock()?;
            length.map(Some)
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The letter whose line begins at `offset`.
pub(super) fn letter_at(file: &File, offset: u64, end: u64) -> io::Result<Option<DeadLetter>> {
    Ok(match Lines::new(file, offset, end).read()? {
        Some((_, Line::Letter(letter))) => Some(*letter),
        _ => None,
    })
}
