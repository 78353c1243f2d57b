//! A file system in memory that fails when it is told to, for tests that crash the journal at
//! every operation.
//!
//! It promises what [`Fs`] does and not a bit more: what was not synced may be gone after
//! [`FakeFs::power_loss`]. Every call that changes something has a number, from 1; a fault is set at
//! a number, or at the nth call of a kind. The same calls, faults and seeds give the same bytes.

use std::{
    collections::HashMap,
    fmt,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard},
};

use rustix::io::Errno;

use super::{
    chance::Chance,
    fake_disk::{FakeDisk, Inode},
};
use crate::journal::fs::{File, Fs};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine stops before the call has done anything: it fails, and everything after it.
    CrashBefore,
    /// The machine stops when the call has done everything, but before anybody is told.
    CrashAfter,
    /// The call fails, once, without having done anything. Where it was a sync, what it should have
    /// made durable never will be, although the next sync says that all is well.
    Error(Errno),
    /// A write takes at most so many bytes, once. Other calls take no harm.
    ShortWrite(usize),
    /// A signal interrupts the call before it has done anything.
    Interrupted,
}

/// The kinds of calls that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    WriteAt,
    SyncData,
    Create,
    Rename,
    Remove,
    SyncDir,
}

/// The file system; a clone is the same one.
#[derive(Clone)]
pub(crate) struct FakeFs {
    state: Arc<Mutex<State>>,
}

struct State {
    disk: FakeDisk,
    /// Neither the process nor the machine that it belonged to is there any more.
    gone: bool,
    ops: u64,
    ops_by_kind: HashMap<Op, u64>,
    faults: Vec<(When, Fault)>,
    read_bytes_max: usize,
    log: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Number(u64),
    Nth(Op, u64),
}

impl FakeFs {
    /// A seed of [`FakeFs::power_loss`]: nothing that was not synced is there any more.
    pub(crate) const NOTHING_KEPT: u64 = 0;
    /// A seed of [`FakeFs::power_loss`]: all is there, as if it had been synced.
    pub(crate) const ALL_KEPT: u64 = 1;

    /// An empty directory on a disk that never fills.
    pub(crate) fn new() -> Self {
        Self::with(FakeDisk::new(), Vec::new())
    }

    fn with(disk: FakeDisk, log: Vec<String>) -> Self {
        let state = State {
            disk,
            gone: false,
            ops: 0,
            ops_by_kind: HashMap::new(),
            faults: Vec::new(),
            read_bytes_max: usize::MAX,
            log,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The disk after a loss of power and a start: for each seed another of the states that are
    /// possible. This file system and its files fail from now on, but it can be asked again, with
    /// another seed. Faults are not handed on, and numbers begin anew.
    pub(crate) fn power_loss(&self, seed: u64) -> Self {
        let mut state = self.state();
        state.gone = true;
        let mut log = state.log.clone();
        log.push(format!("power loss, seed {seed}:"));
        let disk = state.disk.after_power_loss(&mut Chance::new(seed), &mut log);
        Self::with(disk, log)
    }

    /// The disk after the process was killed: the next one finds all that was written, but what was
    /// not synced still is not. For the rest like [`FakeFs::power_loss`].
    pub(crate) fn kill(&self) -> Self {
        let mut state = self.state();
        state.gone = true;
        let mut log = state.log.clone();
        log.push("killed".to_owned());
        Self::with(state.disk.after_kill(), log)
    }

    /// Lets the call with this number fail, once.
    pub(crate) fn fail_at(&self, op_number: u64, fault: Fault) {
        self.state().faults.push((When::Number(op_number), fault));
    }

    /// Lets the nth call of a kind fail, once. The first is 1.
    pub(crate) fn fail_nth(&self, op: Op, n: u64, fault: Fault) {
        self.state().faults.push((When::Nth(op, n), fault));
    }

    /// How many calls that change something there have been, those that failed too.
    pub(crate) fn ops(&self) -> u64 {
        self.state().ops
    }

    /// How many of one kind.
    pub(crate) fn ops_of(&self, op: Op) -> u64 {
        self.state().ops_by_kind.get(&op).copied().unwrap_or(0)
    }

    /// Whether a fault stopped the machine, or it was killed or lost power.
    pub(crate) fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// One line for each of those calls, in this life and the ones before.
    pub(crate) fn log(&self) -> String {
        self.state().log.join("\n")
    }

    /// Leaves room for so many bytes more. What is removed gives room again.
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.state().disk.set_free_bytes(bytes);
    }

    /// Lets each read give so many bytes at most.
    pub(crate) fn limit_reads(&self, bytes: usize) {
        self.state().read_bytes_max = bytes;
    }

    /// The names of all files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().disk.names().keys().cloned().collect()
    }

    /// What reads see of a file.
    pub(crate) fn read_file(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        let inode = state.disk.inode(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        state.disk.bytes(inode).to_vec()
    }

    /// Damage: the bits of `mask` in one byte. As after all damage, the whole file is durable.
    pub(crate) fn flip(&self, name: &str, offset: usize, mask: u8) {
        self.state().disk.damage(name, |bytes| bytes[offset] ^= mask);
    }

    /// Damage: cuts a file, or fills it with zeros up to `bytes`.
    pub(crate) fn truncate(&self, name: &str, bytes: usize) {
        self.state().disk.damage(name, |file| file.resize(bytes, 0));
    }

    /// Damage: other bytes in place of those that are there.
    pub(crate) fn overwrite(&self, name: &str, offset: usize, bytes: &[u8]) {
        self.state().disk.damage(name, |file| file[offset..offset + bytes.len()].copy_from_slice(bytes));
    }

    fn file(&self, inode: Inode) -> Arc<dyn File> {
        Arc::new(FakeFile { fs: self.clone(), inode })
    }
}

impl fmt::Debug for FakeFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeFs").finish_non_exhaustive()
    }
}

/// A call that changes something.
enum Call<'a> {
    WriteAt { inode: Inode, offset: u64, bytes: Vec<u8> },
    SyncData { inode: Inode },
    Create { name: &'a str, bytes: u64 },
    Rename { from: &'a str, to: &'a str },
    Remove { name: &'a str },
    SyncDir,
}

impl Call<'_> {
    fn op(&self) -> Op {
        match self {
            Self::WriteAt { .. } => Op::WriteAt,
            Self::SyncData { .. } => Op::SyncData,
            Self::Create { .. } => Op::Create,
            Self::Rename { .. } => Op::Rename,
            Self::Remove { .. } => Op::Remove,
            Self::SyncDir => Op::SyncDir,
        }
    }

    fn describe(&self, disk: &FakeDisk) -> String {
        match self {
            Self::WriteAt { inode, offset, bytes } => {
                format!("write_at {}, {} bytes at {offset}", disk.name(*inode), bytes.len())
            }
            Self::SyncData { inode } => format!("sync_data {}", disk.name(*inode)),
            Self::Create { name, bytes } => format!("create {name}, {bytes} bytes"),
            Self::Rename { from, to } => format!("rename {from} to {to}"),
            Self::Remove { name } => format!("remove {name}"),
            Self::SyncDir => "sync_dir".to_owned(),
        }
    }

    /// Does it; the bytes written, or the inode created.
    fn perform(self, disk: &mut FakeDisk) -> io::Result<usize> {
        match self {
            Self::WriteAt { inode, offset, bytes } => return disk.write(inode, offset, bytes),
            Self::Create { name, bytes } => return disk.create(name, bytes),
            Self::SyncData { inode } => disk.sync(inode),
            Self::Rename { from, to } => disk.rename(from, to)?,
            Self::Remove { name } => disk.remove(name)?,
            Self::SyncDir => disk.sync_names(),
        }
        Ok(0)
    }

    /// What its failure does to the disk.
    fn fail(&self, disk: &mut FakeDisk) {
        match self {
            Self::SyncData { inode } => disk.fail_sync(*inode),
            Self::SyncDir => disk.fail_sync_names(),
            Self::WriteAt { .. } | Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. } => {}
        }
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.gone { Err(Errno::IO.into()) } else { Ok(()) }
    }

    fn take_fault(&mut self, op: Op) -> Option<Fault> {
        let nth = self.ops_by_kind.entry(op).or_default();
        *nth += 1;
        self.ops += 1;
        let now = [When::Number(self.ops), When::Nth(op, *nth)];
        let at = self.faults.iter().position(|(when, _)| now.contains(when))?;
        Some(self.faults.remove(at).1)
    }

    fn call(&mut self, mut call: Call<'_>) -> io::Result<usize> {
        self.alive()?;
        let fault = self.take_fault(call.op());
        let what = call.describe(&self.disk);
        let outcome = match fault {
            None => call.perform(&mut self.disk),
            Some(Fault::ShortWrite(most)) => {
                if let Call::WriteAt { bytes, .. } = &mut call {
                    bytes.truncate(most);
                }
                call.perform(&mut self.disk)
            }
            Some(Fault::Interrupted) => Err(Errno::INTR.into()),
            Some(Fault::Error(errno)) => {
                call.fail(&mut self.disk);
                Err(errno.into())
            }
            Some(Fault::CrashBefore) => {
                self.gone = true;
                Err(Errno::IO.into())
            }
            Some(Fault::CrashAfter) => {
                self.gone = true;
                call.perform(&mut self.disk).and(Err(Errno::IO.into()))
            }
        };
        let fault = fault.map(|fault| format!(" [{fault:?}]")).unwrap_or_default();
        self.log.push(format!("{}: {what}{fault}: {outcome:?}", self.ops));
        outcome
    }
}

impl Fs for FakeFs {
    /// Backwards, so that nobody relies on an order.
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        state.alive()?;
        let bytes = |inode| state.disk.bytes(inode).len() as u64;
        Ok(state.disk.names().iter().rev().map(|(name, inode)| (name.clone(), bytes(*inode))).collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        let inode = self.state().call(Call::Create { name, bytes })?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        state.alive()?;
        Ok(self.file(state.disk.inode(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().call(Call::Rename { from, to }).map(drop)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().call(Call::Remove { name }).map(drop)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.state().call(Call::SyncDir).map(drop)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state();
        state.alive()?;
        Ok(state.disk.free_bytes())
    }
}

/// An open file; it stays itself when it is renamed or removed.
#[derive(Debug)]
struct FakeFile {
    fs: FakeFs,
    inode: Inode,
}

impl File for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.fs.state();
        state.alive()?;
        let bytes = state.disk.bytes(self.inode);
        let there = &bytes[bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX))..];
        let count = there.len().min(buffer.len()).min(state.read_bytes_max);
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes = parts.iter().map(|part| &**part).collect::<Vec<_>>().concat();
        self.fs.state().call(Call::WriteAt { inode: self.inode, offset, bytes })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.state().call(Call::SyncData { inode: self.inode }).map(drop)
    }

    fn bytes(&self) -> io::Result<u64> {
        let state = self.fs.state();
        state.alive()?;
        Ok(state.disk.bytes(self.inode).len() as u64)
    }
}
