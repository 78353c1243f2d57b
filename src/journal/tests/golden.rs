//! Journals that former versions wrote, kept for ever: every later version must read them.
//!
//! `golden/v1.segment` was written by version 1 of the format: two shards, three commits (events 1 to 3
//! on the first, 4 and 5 on the second, 6 on the first), the first two of the first shard stored.

use std::io::IoSlice;

use super::kit::{World, record};
use crate::journal::fs::Fs as _;

const V1: &[u8] = include_bytes!("golden/v1.segment");

#[test]
fn a_journal_of_version_1_is_read() {
    let mut world = World::new(2);
    let file = world.fs.create("00000000000000000001.segment", V1.len() as u64).unwrap();
    file.write_at(&[IoSlice::new(V1)], 0).unwrap();
    assert!(world.open());
    let open = world.open.as_mut().unwrap();
    assert_eq!((open.recovered.events.as_slice(), open.recovered.damaged), (&[2, 2][..], 0));
    let mut read = Vec::new();
    for reader in &mut open.readers {
        while let Some(extent) = reader.next_extent(u64::MAX).unwrap() {
            read.push((extent.first, extent.skip, reader.records().to_vec()));
        }
    }
    let run = |numbers: &[u64]| numbers.iter().flat_map(|number| record(*number, 10)).collect::<Vec<_>>();
    assert_eq!(read, [(0, 2, run(&[1, 2, 3])), (3, 0, run(&[6])), (0, 0, run(&[4, 5]))]);
}
