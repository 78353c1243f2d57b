//! A disk whose syncs can be held: a journal that is as slow as a test wants.

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::{Arc, Condvar, Mutex},
};

use crate::journal::fs::{Disk, File, Fs};

/// Whether syncs pass, and how many wait.
#[derive(Debug, Default)]
pub(super) struct Gate {
    held: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    /// Syncs wait until they are released.
    pub(super) fn hold(&self) {
        self.held.lock().unwrap().0 = true;
    }

    pub(super) fn release(&self) {
        self.held.lock().unwrap().0 = false;
        self.changed.notify_all();
    }

    /// How many syncs wait.
    pub(super) fn waiting(&self) -> usize {
        self.held.lock().unwrap().1
    }

    fn pass(&self) {
        let mut held = self.held.lock().unwrap();
        held.1 += 1;
        while held.0 {
            held = self.changed.wait(held).unwrap();
        }
        held.1 -= 1;
    }
}

/// A real disk behind a gate.
#[derive(Debug)]
pub(super) struct GatedDisk {
    disk: Disk,
    gate: Arc<Gate>,
}

impl GatedDisk {
    pub(super) fn open(dir: &Path) -> (Arc<Self>, Arc<Gate>) {
        let gate = Arc::<Gate>::default();
        (Arc::new(Self { disk: Disk::open(dir).unwrap(), gate: Arc::clone(&gate) }), gate)
    }

    fn gated(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(GatedFile { file, gate: Arc::clone(&self.gate) })
    }
}

impl Fs for GatedDisk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.disk.list()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        Ok(self.gated(self.disk.create(name, bytes)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.gated(self.disk.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl File for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.file.write_at(parts, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}
