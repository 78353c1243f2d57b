//! The disk below the data directory: whether it keeps what it is given, has room for the journal, and how
//! long a sync takes, for which every durable acknowledgement waits.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{StatVfs, statfs, statvfs};

use super::Finding;
use crate::{
    cli::text::{grouped, size},
    config::Settings,
    journal::SEGMENTS_MIN,
    pipeline::JOURNAL_DIR,
};

/// Kinds of file systems by what `statfs` calls them.
const KINDS: [(i64, &str, Kind); 17] = [
    (0xef53, "ext4", Kind::Disk),
    (0x5846_5342, "xfs", Kind::Disk),
    (0x9123_683e, "btrfs", Kind::Disk),
    (0x2fc1_2fc1, "zfs", Kind::Disk),
    (0xf2f5_2010, "f2fs", Kind::Disk),
    (0xca45_1a4e, "bcachefs", Kind::Disk),
    (0x0102_1994, "tmpfs", Kind::Memory),
    (0x8584_58f6, "ramfs", Kind::Memory),
    (0x794c_7630, "overlay", Kind::Container),
    (0x6969, "nfs", Kind::Network),
    (0xff53_4d42, "cifs", Kind::Network),
    (0xfe53_4d42, "smb2", Kind::Network),
    (0x00c3_6400, "ceph", Kind::Network),
    (0x0bd0_0bd0, "lustre", Kind::Network),
    (0x0116_1970, "gfs2", Kind::Network),
    (0x0102_1997, "9p", Kind::Shared),
    (0x6573_5546, "fuse", Kind::Shared),
];

/// What a file system's kind means for a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Disk,
    Memory,
    Container,
    Network,
    Shared,
}

const SYNCS: usize = 100;
const SYNC_BYTES: usize = 4096;
/// A slow disk is known sooner.
const SYNCS_TIME_MAX: Duration = Duration::from_secs(5);
const SYNC_SLOW: Duration = Duration::from_millis(20);
/// Files beside the journal's segments and their indexes: lock, identity, database, letters, some to spare.
const FILES_BESIDE: u64 = 100;

/// What the data directory lies on.
pub(super) fn file_system(dir: &Path) -> Finding {
    const CHECK: &str = "file system";
    let number = match statfs(dir) {
        Ok(found) => found.f_type & 0xffff_ffff,
        Err(error) => return unreadable(CHECK, dir, error.into()),
    };
    let Some((_, name, kind)) = KINDS.iter().find(|(known, ..)| *known == number) else {
        return Finding::ok(CHECK, format!("of a kind that is not known here ({number:#x})"));
    };
    match kind {
        Kind::Disk => Finding::ok(CHECK, *name),
        Kind::Memory => Finding::warn(
            CHECK,
            format!("{name}: what was acknowledged as durable is lost when the machine stops"),
            "set `data_dir` to a directory on a disk",
        ),
        Kind::Container => Finding::warn(
            CHECK,
            format!("{name}: what was acknowledged as durable is lost with the container"),
            "mount a volume, and set `data_dir` to a directory in it",
        ),
        Kind::Network => Finding::warn(
            CHECK,
            format!("{name}: every acknowledgement waits for the network, and locks may not hold"),
            "set `data_dir` to a directory on a disk of this machine",
        ),
        Kind::Shared => Finding::warn(
            CHECK,
            format!("{name}: whether a sync reaches a disk is up to another program"),
            "set `data_dir` to a directory on a disk, or find out what that program promises",
        ),
    }
}

/// Room for all that the journal may take.
pub(super) fn space(dir: &Path, settings: &Settings) -> Finding {
    const CHECK: &str = "disk space";
    let journal = settings.pipeline.journal;
    let found = match statvfs(dir) {
        Ok(found) => found,
        Err(error) => return unreadable(CHECK, dir, error.into()),
    };
    let free = free_bytes(&found);
    let taken = match journal_bytes(&dir.join(JOURNAL_DIR)) {
        Ok(taken) => taken,
        Err(error) => return unreadable(CHECK, &dir.join(JOURNAL_DIR), error),
    };
    let more = journal.max_bytes.saturating_sub(taken);
    let fact =
        format!("{} free, and the journal may grow by {} (to {})", size(free), size(more), size(journal.max_bytes));
    if free.saturating_add(taken) < SEGMENTS_MIN * journal.segment_bytes {
        let least = size(SEGMENTS_MIN * journal.segment_bytes);
        return Finding::fail(CHECK, fact, format!("free some space: the journal needs {least} to accept anything"));
    }
    if free < more {
        let advice =
            "free some space, or set `journal.max_bytes` lower: when the disk is full, events are refused (503)";
        return Finding::warn(CHECK, fact, advice);
    }
    Finding::ok(CHECK, fact)
}

/// Room for the journal's files.
pub(super) fn files(dir: &Path, settings: &Settings) -> Finding {
    const CHECK: &str = "inodes";
    let found = match statvfs(dir) {
        Ok(found) => found,
        Err(error) => return unreadable(CHECK, dir, error.into()),
    };
    if found.f_files == 0 {
        return Finding::ok(CHECK, "made as they are needed");
    }
    let needed = 2 * segments(settings) + FILES_BESIDE;
    let fact = format!("{} free, and up to {} needed", grouped(found.f_favail), grouped(needed));
    if found.f_favail < needed {
        let advice = "remove files there, or set a larger `journal.segment_bytes`, which makes fewer files";
        return Finding::warn(CHECK, fact, advice);
    }
    Finding::ok(CHECK, fact)
}

/// How long syncs of small writes take.
pub(super) fn syncs(dir: &Path) -> Finding {
    const CHECK: &str = "sync";
    let mut times = match measure(dir) {
        Ok(times) => times,
        Err(error) => {
            let fact = format!("a file in {} cannot be written and synced: {error}", dir.display());
            return Finding::fail(CHECK, fact, "let the service's user write there, and look at the disk");
        }
    };
    times.sort_unstable();
    let (p50, p99) = (quantile(&times, 50), quantile(&times, 99));
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    let fact = format!("{} writes of 4 KiB: p50 {}, p99 {}", times.len(), ms(p50), ms(p99));
    if p99 > SYNC_SLOW {
        let advice =
            "every durable acknowledgement waits so long: use a faster disk, or one that nothing else writes to";
        return Finding::warn(CHECK, fact, advice);
    }
    Finding::ok(CHECK, fact)
}

/// How many files the journal may have open.
pub(super) fn segments(settings: &Settings) -> u64 {
    let journal = settings.pipeline.journal;
    journal.max_bytes / journal.segment_bytes.max(1)
}

fn free_bytes(found: &StatVfs) -> u64 {
    found.f_bavail.saturating_mul(found.f_frsize)
}

fn unreadable(check: &'static str, path: &Path, error: io::Error) -> Finding {
    Finding::fail(check, format!("{} cannot be looked at: {error}", path.display()), "run this as the service's user")
}

fn journal_bytes(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    // A running service may remove a file meanwhile.
    Ok(entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum())
}

/// The file that is measured with; removed when dropped.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn create(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("check-{:016x}.tmp", getrandom::u64().map_err(io::Error::other)?));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing else can be done about a small file that stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes and syncs as the journal does: over bytes that were written before, so that a sync has no metadata
/// to wait for.
fn measure(dir: &Path) -> io::Result<Vec<Duration>> {
    let scratch = Scratch::create(dir)?;
    scratch.file.write_all_at(&[0; SYNCS * SYNC_BYTES], 0)?;
    scratch.file.sync_all()?;
    let (begin, mut times) = (Instant::now(), Vec::with_capacity(SYNCS));
    while times.len() < SYNCS && (times.is_empty() || begin.elapsed() < SYNCS_TIME_MAX) {
        let since = Instant::now();
        scratch.file.write_all_at(&[0xa5; SYNC_BYTES], (times.len() * SYNC_BYTES) as u64)?;
        scratch.file.sync_data()?;
        times.push(since.elapsed());
    }
    Ok(times)
}

/// The value that so many percent of the sorted values are not above.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::cli::check::Status;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(
            (quantile(&times, 50), quantile(&times, 99)),
            (Duration::from_millis(50), Duration::from_millis(99))
        );
        assert_eq!(quantile(&times[..1], 99), Duration::from_millis(1));
        assert_eq!(quantile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let dir = TempDir::new().unwrap();
        let found = syncs(dir.path());
        assert_ne!(found.status, Status::Fail, "{found:?}");
        assert!(found.fact.contains("p50") && found.fact.contains("p99"), "{found:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(syncs(&dir.path().join("missing")).status, Status::Fail);
    }

    #[test]
    fn a_journal_that_may_outgrow_the_disk_is_told() {
        let dir = TempDir::new().unwrap();
        let mut settings = Settings::default();
        let free = free_bytes(&statvfs(dir.path()).unwrap());
        settings.pipeline.journal.max_bytes = free / 2;
        settings.pipeline.journal.segment_bytes = 64 << 10;
        assert_eq!(space(dir.path(), &settings).status, Status::Ok);
        settings.pipeline.journal.max_bytes = free.saturating_mul(2);
        let found = space(dir.path(), &settings);
        assert_eq!(found.status, Status::Warn);
        assert!(found.advice.as_ref().unwrap().contains("journal.max_bytes"), "{found:?}");
        settings.pipeline.journal.segment_bytes = free;
        assert_eq!(space(dir.path(), &settings).status, Status::Fail);
    }

    #[test]
    fn what_the_journal_has_already_is_no_growth() {
        let dir = TempDir::new().unwrap();
        assert_eq!(journal_bytes(&dir.path().join(JOURNAL_DIR)).unwrap(), 0);
        fs::create_dir(dir.path().join(JOURNAL_DIR)).unwrap();
        fs::write(dir.path().join(JOURNAL_DIR).join("00000000000000000001.segment"), [0; 3000]).unwrap();
        assert_eq!(journal_bytes(&dir.path().join(JOURNAL_DIR)).unwrap(), 3000);
    }
}
