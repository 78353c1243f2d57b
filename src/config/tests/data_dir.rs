//! The data directory: made, locked, and the node's identity kept in it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use crate::config::{DataDir, DataDirError};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_is_made_for_its_owner_alone() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("deep/data");
    let opened = DataDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!((mode(&path.join("identity")), mode(&path.join("lock"))), (0o600, 0o600));
    assert_eq!(opened.path(), path.canonicalize().unwrap());
}

#[test]
fn one_process_uses_it_at_a_time() {
    let parent = TempDir::new().unwrap();
    let first = DataDir::open(parent.path()).unwrap();
    let error = DataDir::open(parent.path()).unwrap_err();
    assert!(matches!(error, DataDirError::InUse { .. }), "{error}");
    assert!(error.to_string().starts_with("another process uses the data directory"), "{error}");
    drop(first);
    DataDir::open(parent.path()).unwrap();
}

#[test]
fn whether_it_is_in_use_is_told_without_a_trace() {
    let parent = TempDir::new().unwrap();
    let is_in_use = || DataDir::is_in_use(parent.path()).unwrap();
    assert!(!is_in_use());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    let opened = DataDir::open(parent.path()).unwrap();
    assert!(is_in_use() && is_in_use());
    drop(opened);
    assert!(!is_in_use());
    fs::write(parent.path().join("identity"), "1 0").unwrap();
    assert!(matches!(DataDir::is_in_use(parent.path()), Err(DataDirError::Damaged { .. })));
}

#[test]
fn a_link_to_it_does_not_get_around_the_lock() {
    let parent = TempDir::new().unwrap();
    let (real, link) = (parent.path().join("real"), parent.path().join("link"));
    let first = DataDir::open(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert!(matches!(DataDir::open(&link), Err(DataDirError::InUse { .. })));
    drop(first);
    assert_eq!(DataDir::open(&link).unwrap().path(), real.canonicalize().unwrap());
}

#[test]
fn the_identity_stays_and_differs_between_nodes() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = DataDir::open(one.path()).unwrap().identity();
    assert_eq!(DataDir::open(one.path()).unwrap().identity(), first);
    assert_ne!(DataDir::open(other.path()).unwrap().identity(), first);
}

#[test]
fn a_half_written_identity_of_a_crash_is_replaced() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("identity.new"), "1 0").unwrap();
    let first = DataDir::open(dir.path()).unwrap().identity();
    assert_eq!(DataDir::open(dir.path()).unwrap().identity(), first);
    assert!(!dir.path().join("identity.new").exists());
}

#[test]
fn any_change_to_the_identity_file_is_noticed() {
    let dir = TempDir::new().unwrap();
    drop(DataDir::open(dir.path()).unwrap());
    let path = dir.path().join("identity");
    let written = fs::read(&path).unwrap();
    let flipped = (0..written.len()).map(|at| {
        let mut bytes = written.clone();
        bytes[at] ^= 1;
        bytes
    });
    let cut = (0..written.len()).map(|length| written[..length].to_vec());
    let longer = [b" ", b"0"].map(|more| [written.as_slice(), more].concat());
    for bytes in flipped.chain(cut).chain(longer) {
        fs::write(&path, &bytes).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Damaged { .. }), "{error}: {bytes:?}");
        assert!(error.to_string().contains("identity"), "{error}");
    }
    fs::write(&path, written).unwrap();
    DataDir::open(dir.path()).unwrap();
}

#[test]
fn a_place_that_is_no_directory_is_named() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("file");
    fs::write(&path, "").unwrap();
    let error = DataDir::open(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("`data_dir`"), "{error}");
}
