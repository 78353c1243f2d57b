//! What a disk holds: the bytes and names that a program sees, those that are durable, and what a
//! power loss makes of the difference.
//!
//! It is worse than any real one, so that what survives it survives those. Each write that was not
//! synced is kept, dropped or torn by itself, whatever came before or after it. So is each change
//! of a name, although a real file system keeps their order; only a file that nobody removed is
//! never lost: where it does not have its new name, it has the old one.

use std::{collections::BTreeMap, io, iter, mem, ops::Range};

use rustix::io::Errno;

use super::chance::{Chance, Fate};

/// A disk keeps or loses this much as a whole, mostly.
const SECTOR: usize = 512;

/// The place of a file in [`FakeDisk::files`].
pub(super) type Inode = usize;

#[derive(Clone)]
pub(super) struct FakeDisk {
    /// By inode. None ever goes: an open file outlives its name.
    files: Vec<Contents>,
    names: BTreeMap<String, Inode>,
    durable_names: BTreeMap<String, Inode>,
    /// Those since names were synced last, in order.
    name_changes: Vec<NameChange>,
    /// Syncing names failed; doing so again says that all is well, and does nothing.
    name_syncs_lie: bool,
    capacity: u64,
}

impl FakeDisk {
    pub(super) fn new() -> Self {
        Self {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            name_syncs_lie: false,
            capacity: u64::MAX,
        }
    }

    pub(super) fn names(&self) -> &BTreeMap<String, Inode> {
        &self.names
    }

    pub(super) fn inode(&self, name: &str) -> io::Result<Inode> {
        Ok(*self.names.get(name).ok_or(Errno::NOENT)?)
    }

    /// What a file is called now.
    pub(super) fn name(&self, inode: Inode) -> &str {
        self.names.iter().find(|(_, there)| **there == inode).map_or("(a removed file)", |(name, _)| name)
    }

    pub(super) fn bytes(&self, inode: Inode) -> &[u8] {
        &self.files[inode].live
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let used = self.names.values().map(|inode| self.files[*inode].live.len() as u64).sum();
        self.capacity.saturating_sub(used)
    }

    pub(super) fn set_free_bytes(&mut self, bytes: u64) {
        self.capacity = u64::MAX;
        let used = u64::MAX - self.free_bytes();
        self.capacity = used.saturating_add(bytes);
    }

    pub(super) fn create(&mut self, name: &str, bytes: u64) -> io::Result<Inode> {
        if self.names.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        if bytes > self.free_bytes() {
            return Err(Errno::NOSPC.into());
        }
        let inode = self.files.len();
        self.files.push(Contents::default());
        self.files[inode].write(0, vec![0; bytes as usize]);
        let kind = Change::Create { name: name.to_owned() };
        self.change_name(NameChange { inode, kind, what: format!("create {name}") });
        Ok(inode)
    }

    /// Writes what there is room for; how much that was.
    pub(super) fn write(&mut self, inode: Inode, offset: u64, mut bytes: Vec<u8>) -> io::Result<usize> {
        let end = (self.bytes(inode).len() as u64).saturating_add(self.free_bytes());
        let room = end.saturating_sub(offset).min(bytes.len() as u64) as usize;
        if room == 0 && !bytes.is_empty() {
            return Err(Errno::NOSPC.into());
        }
        bytes.truncate(room);
        self.files[inode].write(offset as usize, bytes);
        Ok(room)
    }

    pub(super) fn sync(&mut self, inode: Inode) {
        self.files[inode].sync();
    }

    /// What was to be synced never will be, and nobody is told again.
    pub(super) fn fail_sync(&mut self, inode: Inode) {
        self.files[inode].unsynced.iter_mut().for_each(|write| write.lost = true);
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.inode(from)?;
        let replaced = self.names.get(to).copied();
        let kind = Change::Rename { to: to.to_owned(), replaced };
        self.change_name(NameChange { inode, kind, what: format!("rename {from} to {to}") });
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let inode = self.inode(name)?;
        self.change_name(NameChange { inode, kind: Change::Remove, what: format!("remove {name}") });
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    pub(super) fn sync_names(&mut self) {
        if !self.name_syncs_lie {
            self.durable_names.clone_from(&self.names);
            self.name_changes.clear();
        }
    }

    pub(super) fn fail_sync_names(&mut self) {
        self.name_syncs_lie = true;
    }

    /// Changes a file's bytes behind everybody's back. What is unsynced of it becomes durable
    /// first: else a power loss might repair it.
    pub(super) fn damage(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.inode(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = &mut self.files[inode];
        change(&mut file.live);
        file.durable.clone_from(&file.live);
        file.unsynced.clear();
    }

    /// What the next process finds: everything, and as little of it durable as before.
    pub(super) fn after_kill(&self) -> Self {
        // The names of a file system that could not write them are those of its own memory; it
        // writes them when it can.
        Self { name_syncs_lie: false, ..self.clone() }
    }

    /// What the next start of the machine finds. Says in `log` what was lost.
    pub(super) fn after_power_loss(&self, chance: &mut Chance, log: &mut Vec<String>) -> Self {
        let mut names = self.durable_names.clone();
        for change in &self.name_changes {
            if chance.keeps() {
                change.apply(&mut names);
            } else {
                log.push(format!("  reverted: {}", change.what));
            }
        }
        let mut after = Self { capacity: self.capacity, ..Self::new() };
        for (name, inode) in names {
            let bytes = self.files[inode].after_power_loss(chance, &mut |lost| log.push(format!("  {name}: {lost}")));
            after.names.insert(name, after.files.len());
            after.files.push(Contents { live: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        }
        after.durable_names.clone_from(&after.names);
        after
    }
}

#[derive(Clone)]
struct NameChange {
    inode: Inode,
    kind: Change,
    /// For the log.
    what: String,
}

#[derive(Clone)]
enum Change {
    Create { name: String },
    Rename { to: String, replaced: Option<Inode> },
    Remove,
}

impl NameChange {
    /// Where an earlier change was reverted, this one finds its file wherever it is, and is not
    /// done itself where it would take another file's name away.
    fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        let Self { inode, kind, .. } = self;
        match kind {
            Change::Create { name } => {
                names.entry(name.clone()).or_insert(*inode);
            }
            Change::Rename { to, replaced } => {
                if names.get(to).is_none_or(|there| there == inode || Some(*there) == *replaced) {
                    names.retain(|_, there| there != inode);
                    names.insert(to.clone(), *inode);
                }
            }
            Change::Remove => names.retain(|_, there| there != inode),
        }
    }
}

/// One file's bytes.
#[derive(Clone, Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// In the order in which they were written; those that are lost first.
    unsynced: Vec<Write>,
}

impl Contents {
    fn write(&mut self, offset: usize, bytes: Vec<u8>) {
        let write = Write { offset, bytes, lost: false };
        if !write.bytes.is_empty() {
            write.put(write.range(), &mut self.live);
            self.unsynced.push(write);
        }
    }

    fn sync(&mut self) {
        let (mut lost, synced): (Vec<_>, Vec<_>) = mem::take(&mut self.unsynced).into_iter().partition(|w| w.lost);
        for write in synced {
            write.put(write.range(), &mut self.durable);
            // What was lost and is written again is not lost any more.
            lost = lost.into_iter().flat_map(|old| old.without(&write.range())).collect();
        }
        self.unsynced = lost;
    }

    fn after_power_loss(&self, chance: &mut Chance, say: &mut dyn FnMut(String)) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for write in &self.unsynced {
            let (offset, count) = (write.offset, write.bytes.len());
            match chance.fate() {
                Fate::Kept => write.put(write.range(), &mut bytes),
                Fate::Dropped => {
                    say(format!("dropped: {count} bytes at {offset}"));
                    write.keep_length(chance, &mut bytes);
                }
                Fate::Torn => {
                    let kept = write.tear(chance);
                    say(format!("torn: {count} bytes at {offset}, of which were kept {kept:?}"));
                    kept.into_iter().for_each(|range| write.put(range, &mut bytes));
                    write.keep_length(chance, &mut bytes);
                }
            }
        }
        bytes
    }
}

#[derive(Clone)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
    /// A sync failed: reads see it, but no later sync makes it durable.
    lost: bool,
}

impl Write {
    /// Its place in the file.
    fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes.len()
    }

    /// Writes the part of it that lies at `range` of the file.
    fn put(&self, range: Range<usize>, file: &mut Vec<u8>) {
        if file.len() < range.end {
            file.resize(range.end, 0);
        }
        file[range.clone()].copy_from_slice(&self.bytes[range.start - self.offset..range.end - self.offset]);
    }

    /// A file may have grown although the bytes it grew by did not arrive: they are zeros then.
    fn keep_length(&self, chance: &mut Chance, file: &mut Vec<u8>) {
        if file.len() < self.range().end && chance.keeps() {
            file.resize(self.range().end, 0);
        }
    }

    /// What is left of it outside of `range`.
    fn without(self, range: &Range<usize>) -> Vec<Self> {
        let own = self.range();
        let before = own.start..own.end.min(range.start);
        let behind = own.start.max(range.end)..own.end;
        let part = |part: Range<usize>| Self {
            offset: part.start,
            bytes: self.bytes[part.start - own.start..part.end - own.start].to_vec(),
            lost: self.lost,
        };
        [before, behind].into_iter().filter(|part| !part.is_empty()).map(part).collect()
    }

    /// Its sectors, as ranges of the file.
    fn sectors(&self) -> Vec<Range<usize>> {
        let Range { start, end } = self.range();
        iter::successors(Some(start), |from| Some((from / SECTOR + 1) * SECTOR))
            .take_while(|from| *from < end)
            .map(|from| from..end.min((from / SECTOR + 1) * SECTOR))
            .collect()
    }

    /// The parts of it that arrived: its first sectors, its last ones, or any; now and then not
    /// even a whole sector.
    fn tear(&self, chance: &mut Chance) -> Vec<Range<usize>> {
        let sectors = self.sectors();
        let (cut, order) = (chance.below(sectors.len() + 1), chance.below(3));
        let arrived = |index, chance: &mut Chance| match order {
            0 => index < cut,
            1 => index >= cut,
            _ => chance.keeps(),
        };
        let mut kept = Vec::new();
        for (index, sector) in sectors.into_iter().enumerate() {
            if arrived(index, chance) {
                let count = if chance.below(8) == 0 { chance.below(sector.len()) } else { sector.len() };
                kept.push(sector.start..sector.start + count);
            }
        }
        kept
    }
}
