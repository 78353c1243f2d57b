//! Room in the journal, taken by an ingest thread before anything is queued: what was admitted cannot meet
//! a full disk.

use crate::journal::Journal;

/// Room in the journal that an intake takes at a time, so that threads seldom meet there.
const ROOM_BYTES: u64 = 256 << 10;

/// Room in the journal that one intake has taken and not used yet; given back when it is dropped.
#[derive(Debug)]
pub(super) struct JournalRoom {
    journal: Journal,
    bytes: u64,
}

impl JournalRoom {
    /// None yet.
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, bytes: 0 }
    }

    /// Takes room; false where the journal is full.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        if self.bytes < bytes {
            let missing = bytes - self.bytes;
            let block = missing.max(self.block());
            if self.journal.promise(block) {
                self.bytes += block;
            } else if self.journal.promise(missing) {
                self.bytes += missing;
            } else {
                return false;
            }
        }
        self.bytes -= bytes;
        true
    }

    /// Gives back what was taken for a request that was refused, but for a little.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes += bytes;
        let spare = self.bytes.saturating_sub(self.block());
        self.journal.release(spare);
        self.bytes -= spare;
    }

    /// How much is taken at a time: little where segments are small.
    fn block(&self) -> u64 {
        ROOM_BYTES.min(self.journal.run_bytes() as u64)
    }
}

impl Drop for JournalRoom {
    fn drop(&mut self) {
        self.journal.release(self.bytes);
    }
}
