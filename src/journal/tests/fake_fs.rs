//! A file system in memory that crashes where a test wants.
//!
//! As a disk under ext4 does it: a write is seen at once, and is on the disk only after a sync of its
//! file. When the power goes, each write that was not synced is kept, dropped or torn by itself, and so
//! is each change of a name that the directory was not synced after. After a sync that failed, the
//! writes before it are taken for synced by later syncs, and are not.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::journal::fs::{File, Fs};

const SECTOR: usize = 512;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not carried out, and nothing is after it.
    CrashBefore,
    /// It is carried out, and nothing is after it.
    CrashAfter,
    /// It fails once, with this error number.
    Error(i32),
    /// A write takes only so many bytes.
    Short(usize),
}

/// The file system; clones share it.
#[derive(Clone, Debug)]
pub(super) struct FakeFs(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that are not synced.
    changes: Vec<Change>,
    ops: u64,
    faults: HashMap<u64, Fault>,
    is_dead: bool,
    free: u64,
    log: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Not synced.
    dirty: Vec<Write>,
    /// Taken for synced after a sync that failed.
    phantom: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Write {
    at: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// Small, and the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    pub(super) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

impl FakeFs {
    pub(super) fn new() -> Self {
        Self::of(State { free: u64::MAX / 4, ..State::default() })
    }

    fn of(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The file system as `Fs`.
    pub(super) fn shared(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// What is there after the power went and came back; whoever used it before gets errors.
    pub(super) fn power_loss(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut state = self.state();
        state.is_dead = true;
        let mut after = State { free: state.free, ..State::default() };
        for inode in &state.inodes {
            let mut bytes = inode.durable.clone();
            for write in inode.phantom.iter().chain(&inode.dirty) {
                match random.below(3) {
                    0 => {}
                    1 => apply(&mut bytes, write),
                    _ => tear(&mut bytes, write, &mut random),
                }
            }
            after.inodes.push(Inode { live: bytes.clone(), durable: bytes, ..Inode::default() });
        }
        let mut names = state.durable_names.clone();
        for change in &state.changes {
            if random.chance(2) {
                change.apply(&mut names);
            }
        }
        after.durable_names.clone_from(&names);
        after.names = names;
        Self::of(after)
    }

    /// What is there after the process was killed: all that was written, synced or not.
    pub(super) fn kill(&self) -> Self {
        let mut state = self.state();
        let after = State { ops: 0, faults: HashMap::new(), is_dead: false, log: Vec::new(), ..state.clone() };
        state.is_dead = true;
        Self::of(after)
    }

    /// Has something happen at the operation of that number, counted from 1.
    pub(super) fn fail_at(&self, op: u64, fault: Fault) {
        self.state().faults.insert(op, fault);
    }

    /// How many operations there were that change something.
    pub(super) fn ops(&self) -> u64 {
        self.state().ops
    }

    /// Whether a crash came.
    pub(super) fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// The operations so far, in words.
    pub(super) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    pub(super) fn set_free_bytes(&self, bytes: u64) {
        self.state().free = bytes;
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub(super) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].live.clone()
    }

    /// Damages a file, on the disk too.
    pub(super) fn damage(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[name];
        let inode = &mut state.inodes[inode];
        damage(&mut inode.live);
        inode.durable.clone_from(&inode.live);
    }

    /// A copy that shares nothing.
    pub(super) fn copy(&self) -> Self {
        Self::of(self.state().clone())
    }
}

impl State {
    /// Counts an operation; what is to happen to it.
    fn begin(&mut self, what: impl FnOnce() -> String) -> io::Result<Option<Fault>> {
        if self.is_dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.ops += 1;
        let fault = self.faults.remove(&self.ops);
        self.log.push(format!(
            "{}: {}{}",
            self.ops,
            what(),
            fault.map_or(String::new(), |fault| format!(" {fault:?}"))
        ));
        match fault {
            Some(Fault::CrashBefore) => {
                self.is_dead = true;
                Err(io::Error::from_raw_os_error(EIO))
            }
            Some(Fault::CrashAfter) => {
                self.is_dead = true;
                Ok(fault)
            }
            fault => Ok(fault),
        }
    }

    fn rename_like(&mut self, change: Change, what: impl FnOnce() -> String) -> io::Result<()> {
        if let Some(Fault::Error(errno)) = self.begin(what)? {
            return Err(io::Error::from_raw_os_error(errno));
        }
        change.apply(&mut self.names);
        self.changes.push(change);
        self.died()
    }

    /// A crash that came with the operation: the one who asked for it does not learn how it went.
    fn died(&self) -> io::Result<()> {
        if self.is_dead { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, inode) => drop(names.insert(name.clone(), *inode)),
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

fn apply(bytes: &mut Vec<u8>, write: &Write) {
    let end = write.at + write.bytes.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[write.at..end].copy_from_slice(&write.bytes);
}

/// Some sectors of a write arrive, others do not.
fn tear(bytes: &mut Vec<u8>, write: &Write, random: &mut Random) {
    let mut at = write.at;
    for part in write.bytes.chunks(SECTOR) {
        if random.chance(2) {
            apply(bytes, &Write { at, bytes: part.to_vec() });
        }
        at += part.len();
    }
}

impl Fs for FakeFs {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        state.died()?;
        Ok(state.names.iter().map(|(name, inode)| (name.clone(), state.inodes[*inode].live.len() as u64)).collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if bytes > state.free {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let number = state.inodes.len();
        if let Some(Fault::Error(errno)) = state.begin(|| format!("create {name}"))? {
            return Err(io::Error::from_raw_os_error(errno));
        }
        state.free -= bytes;
        let zeros = vec![0; bytes as usize];
        let dirty = vec![Write { at: 0, bytes: zeros.clone() }];
        state.inodes.push(Inode { live: zeros, dirty, ..Inode::default() });
        let change = Change::Create(name.to_owned(), number);
        change.apply(&mut state.names);
        state.changes.push(change);
        state.died()?;
        Ok(Arc::new(FakeFile { fs: self.clone(), inode: number }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        state.died()?;
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FakeFile { fs: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let change = Change::Rename(from.to_owned(), to.to_owned());
        self.state().rename_like(change, || format!("rename {from} {to}"))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let bytes = state.inodes[inode].live.len() as u64;
        state.rename_like(Change::Remove(name.to_owned()), || format!("remove {name}"))?;
        state.free += bytes;
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        if let Some(Fault::Error(errno)) = state.begin(|| "sync the directory".to_owned())? {
            return Err(io::Error::from_raw_os_error(errno));
        }
        state.durable_names = state.names.clone();
        state.changes.clear();
        state.died()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free)
    }
}

#[derive(Debug)]
struct FakeFile {
    fs: FakeFs,
    inode: usize,
}

impl File for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.fs.state();
        state.died()?;
        let bytes = state.inodes[self.inode].live.get(offset as usize..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut state = self.fs.state();
        match state.begin(|| format!("write {} bytes at {offset} of inode {}", bytes.len(), self.inode))? {
            Some(Fault::Error(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Short(length)) => bytes.truncate(length),
            _ => {}
        }
        let write = Write { at: offset as usize, bytes };
        let inode = &mut state.inodes[self.inode];
        apply(&mut inode.live, &write);
        let length = write.bytes.len();
        inode.dirty.push(write);
        state.died()?;
        Ok(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.fs.state();
        let fault = state.begin(|| format!("sync inode {}", self.inode))?;
        let inode = &mut state.inodes[self.inode];
        if let Some(Fault::Error(errno)) = fault {
            inode.phantom.append(&mut inode.dirty);
            return Err(io::Error::from_raw_os_error(errno));
        }
        for write in std::mem::take(&mut inode.dirty) {
            apply(&mut inode.durable, &write);
        }
        state.died()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.fs.state().inodes[self.inode].live.len() as u64)
    }
}

/// Whether a thing happens for some seeds and not for others.
fn sometimes(mut happens: impl FnMut(u64) -> bool) -> bool {
    let times = (0..64).filter(|seed| happens(*seed)).count();
    (1..64).contains(&times)
}

#[test]
fn what_was_synced_is_kept_and_what_was_not_may_be_kept_dropped_or_torn() {
    let fs = FakeFs::new();
    let file = fs.create("a", 4096).unwrap();
    file.write_at(&[IoSlice::new(&[1; 1024])], 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir().unwrap();
    file.write_at(&[IoSlice::new(&[2; 1024])], 1024).unwrap();
    let after = |seed: u64| fs.copy().power_loss(seed).bytes_of("a");
    assert!((0..64).all(|seed| after(seed)[..1024] == [1; 1024]));
    assert!(sometimes(|seed| after(seed)[1024..2048] == [2; 1024]));
    assert!(sometimes(|seed| after(seed)[1024..2048] == [0; 1024]));
    assert!(sometimes(|seed| after(seed)[1024..1536] != after(seed)[1536..2048]));
    assert_eq!(fs.copy().kill().bytes_of("a")[1024..2048], [2; 1024]);
}

#[test]
fn names_that_were_not_synced_may_be_as_before() {
    let fs = FakeFs::new();
    fs.create("a", 10).unwrap();
    fs.sync_dir().unwrap();
    fs.rename("a", "b").unwrap();
    fs.create("c", 10).unwrap();
    let after = |seed: u64| fs.copy().power_loss(seed).names();
    assert!((0..64).all(|seed| after(seed).contains(&"a".to_owned()) != after(seed).contains(&"b".to_owned())));
    assert!(sometimes(|seed| after(seed).contains(&"b".to_owned())));
    assert!(sometimes(|seed| after(seed).contains(&"c".to_owned())));
}

#[test]
fn after_a_sync_that_failed_the_next_one_lies() {
    let fs = FakeFs::new();
    let file = fs.create("a", 0).unwrap();
    fs.sync_dir().unwrap();
    file.write_at(&[IoSlice::new(&[7; 512])], 0).unwrap();
    fs.fail_at(fs.ops() + 1, Fault::Error(EIO));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    let mut seen = [0; 512];
    assert_eq!((file.read_at(&mut seen, 0).unwrap(), seen), (512, [7; 512]));
    assert!(sometimes(|seed| fs.copy().power_loss(seed).bytes_of("a").is_empty()));
}
