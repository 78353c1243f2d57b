//! What [`Fs`] promises, of the real disk and of the fake one alike.

use std::{
    fs,
    io::{self, IoSlice, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    thread,
};

use rustix::io::Errno;

use super::fake_fs::FakeFs;
use crate::journal::fs::{Disk, Fs};

/// A test for each of the two.
fn on_both(test: impl Fn(&dyn Fs)) {
    let dir = tempfile::tempdir().unwrap();
    test(&Disk::open(dir.path()).unwrap());
    test(&FakeFs::new());
}

fn list(fs: &dyn Fs) -> Vec<(String, u64)> {
    let mut files = fs.list().unwrap();
    files.sort();
    files
}

fn files<const N: usize>(files: [(&str, u64); N]) -> Vec<(String, u64)> {
    files.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
}

/// The whole of a file.
fn read(fs: &dyn Fs, name: &str) -> Vec<u8> {
    let file = fs.open(name).unwrap();
    let (mut bytes, mut at) = (vec![0xff; file.bytes().unwrap() as usize + 1], 0);
    loop {
        match file.read_at(&mut bytes[at..], at as u64).unwrap() {
            0 => break,
            count => at += count,
        }
    }
    bytes.truncate(at);
    bytes
}

fn write(fs: &dyn Fs, name: &str, bytes: &[u8]) {
    let file = fs.create(name, bytes.len() as u64).unwrap();
    assert_eq!(file.write_at(&[IoSlice::new(bytes)], 0).unwrap(), bytes.len());
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_new_file_is_zeros_of_exactly_the_length_asked_for() {
    on_both(|fs| {
        // The lengths around what is zeroed with one write.
        for bytes in [0, 1, 4096, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, (1 << 20) - 1, 1 << 20, (2 << 20) + 5] {
            let name = bytes.to_string();
            assert_eq!(fs.create(&name, bytes).unwrap().bytes().unwrap(), bytes, "{fs:?}");
            assert_eq!(read(fs, &name), vec![0; bytes as usize]);
        }
    });
}

#[test]
fn a_file_that_is_there_is_not_made_again() {
    on_both(|fs| {
        write(fs, "a", b"first");
        assert_eq!(kind(fs.create("a", 9)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(read(fs, "a"), b"first");
    });
}

#[test]
fn a_write_gathers_its_parts_and_grows_the_file() {
    on_both(|fs| {
        let file = fs.create("a", 4).unwrap();
        let parts = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(file.write_at(&parts, 2).unwrap(), 6);
        file.sync_data().unwrap();
        assert_eq!(read(fs, "a"), b"\0\0onetwo");
        assert_eq!(file.read_at(&mut [0; 4], 8).unwrap(), 0);
        assert_eq!(file.read_at(&mut [0; 4], 100).unwrap(), 0);
        assert_eq!(file.write_at(&[], 0).unwrap(), 0);
    });
}

#[test]
fn a_rename_replaces_and_an_open_file_stays_itself() {
    on_both(|fs| {
        write(fs, "a", b"new");
        write(fs, "b", b"older");
        let (new, older) = (fs.open("a").unwrap(), fs.open("b").unwrap());
        fs.rename("a", "b").unwrap();
        fs.sync_dir().unwrap();
        assert_eq!(list(fs), files([("b", 3)]));
        assert_eq!((new.bytes().unwrap(), older.bytes().unwrap()), (3, 5));
        assert_eq!(new.write_at(&[IoSlice::new(b"N")], 0).unwrap(), 1);
        assert_eq!(read(fs, "b"), b"New");
        fs.rename("b", "b").unwrap();
        assert_eq!(read(fs, "b"), b"New");
    });
}

#[test]
fn the_list_has_every_file_and_its_length() {
    on_both(|fs| {
        assert_eq!(list(fs), []);
        write(fs, "b", b"12");
        write(fs, "a", b"1");
        assert_eq!(list(fs), files([("a", 1), ("b", 2)]));
        fs.remove("b").unwrap();
        assert_eq!(list(fs), files([("a", 1)]));
    });
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    on_both(|fs| {
        let missing = Some(io::ErrorKind::NotFound);
        assert_eq!(kind(fs.open("a")), missing);
        assert_eq!(kind(fs.rename("a", "b")), missing);
        assert_eq!(kind(fs.remove("a")), missing);
    });
}

#[test]
fn the_disk_makes_its_directory_for_nobody_else_and_lists_files_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data/journal");
    let disk = Disk::open(&dir).unwrap();
    fs::create_dir(dir.join("not a file")).unwrap();
    disk.create("a", 1).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("a"))), (0o700, 0o600));
    assert_eq!(list(&disk), files([("a", 1)]));
    assert_eq!(list(&Disk::open(&dir).unwrap()), files([("a", 1)]), "it is opened again as it is");
    assert!(disk.free_bytes().unwrap() > 0);
}

#[test]
fn the_disk_follows_no_link() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    fs::write(dir.path().join("target"), "kept").unwrap();
    std::os::unix::fs::symlink(dir.path().join("target"), dir.path().join("link")).unwrap();
    disk.open("link").unwrap_err();
    disk.create("link", 1).unwrap_err();
    assert_eq!(list(&disk), files([("target", 4)]));
}

#[test]
fn a_file_that_the_disk_cannot_make_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    disk.create("a", u64::MAX).unwrap_err();
    assert_eq!(list(&disk), []);
}

/// A small disk of its own, as long as this lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self(dir)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("mount: {error}")),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || thread::panicking(), "a small disk stays mounted");
    }
}

#[test]
fn a_full_disk_takes_no_file_and_gives_back_the_half_that_was_made() {
    let small = match SmallDisk::mount("256k") {
        Ok(small) => small,
        Err(why) => {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            // Not `eprintln`, which a passing test keeps to itself.
            io::stderr().write_all(format!("LEFT OUT: {test}: no small disk: {why}\n").as_bytes()).unwrap();
            return;
        }
    };
    let disk = Disk::open(small.0.path()).unwrap();
    let free = disk.free_bytes().unwrap();
    assert!((1..=256 << 10).contains(&free), "{free}");
    drop(disk.create("a", free / 2).unwrap());
    let error = disk.create("b", free).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NOSPC));
    assert_eq!(list(&disk), files([("a", free / 2)]));
    disk.remove("a").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), free);
    disk.create("b", free).unwrap();
}
