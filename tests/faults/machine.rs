//! What the machine lends to the tests: strace, file systems of their own, limits on memory.
//!
//! Where it does not, a test says so and passes; with `TEST_REQUIRE_FAULTS=1` it fails.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use rustix::ioctl::{Setter, ioctl, opcode};
use tempfile::TempDir;

/// Says that the calling test is left out, or fails it where it must run.
pub(crate) fn left_out(why: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(env::var("TEST_REQUIRE_FAULTS").as_deref() != Ok("1"), "{test} must run, but {why}");
    say(&format!("LEFT OUT: {test}: {why}"));
}

/// Writes a line that a passing test does not keep to itself, as it would with `eprintln`.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Runs a program to its end; whether it ended well.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Runs a program that must end well.
#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// Starts the server under strace with this `inject` expression, or says that it cannot. The
/// server stays the process that was started; its threads are counted each by itself.
pub(crate) fn strace(inject: &str) -> Option<Vec<String>> {
    if !works("strace", &["-o", "/dev/null", "true"]) {
        left_out("strace is not installed, or may not trace");
        return None;
    }
    let (calls, _) = inject.split_once(':').unwrap();
    let words = ["strace", "-f", "-D", "-o", "/dev/null", "-e"].map(str::to_owned);
    Some(words.into_iter().chain([format!("trace={calls}"), "-e".to_owned(), format!("inject={inject}")]).collect())
}

/// A file system of the test's own; unmounted when dropped.
pub(crate) struct Mount {
    at: PathBuf,
    /// Holds the file it lies in, where it survives a loss of power.
    image: Option<TempDir>,
}

impl Mount {
    /// An ext4 on a file, or says that it cannot.
    pub(crate) fn ext4(at: &Path) -> Option<Self> {
        if !is_root() || !works("mkfs.ext4", &["-V"]) {
            left_out("it needs root and mkfs.ext4");
            return None;
        }
        let mount = Self { at: at.to_owned(), image: Some(TempDir::new().unwrap()) };
        let image = mount.file("image");
        File::create(&image).unwrap().set_len(1 << 30).unwrap();
        run("mkfs.ext4", &["-q", "-b", "4096", "-N", "8192", image.to_str().unwrap()]);
        if !mount.mount() {
            left_out("a loop device cannot be mounted");
            return None;
        }
        Some(mount)
    }

    /// A file system in memory that is soon full, or says that it cannot.
    pub(crate) fn tmpfs(at: &Path, bytes: u64) -> Option<Self> {
        let size = format!("size={bytes},mode=700");
        if !is_root() || !works("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at.to_str().unwrap()]) {
            left_out("it needs root, to mount a tmpfs");
            return None;
        }
        Some(Self { at: at.to_owned(), image: None })
    }

    /// From now on nothing reaches the disk; what was not synced never will. Every write and sync fails.
    pub(crate) fn cut_power(&self) {
        const NO_LOG_FLUSH: u32 = 2;
        let dir = File::open(&self.at).unwrap();
        // SAFETY: EXT4_IOC_SHUTDOWN only reads the u32 that it is given.
        #[expect(unsafe_code, reason = "no safe interface has this request")]
        let cut = unsafe { ioctl(&dir, Setter::<{ opcode::read::<u32>(b'X', 125) }, u32>::new(NO_LOG_FLUSH)) };
        cut.unwrap();
    }

    /// Keeps what is on the disk now, for [`Self::restore_power`] to find. The writers must stand still.
    pub(crate) fn keep_what_is_on_disk(&self) {
        let (image, kept) = (self.file("image"), self.file("kept"));
        run("cp", &["--sparse=always", image.to_str().unwrap(), kept.to_str().unwrap()]);
    }

    /// Mounted once more, with what was on the disk. All files in it must be closed.
    pub(crate) fn restore_power(&self) {
        self.unmount();
        if self.file("kept").exists() {
            fs::rename(self.file("kept"), self.file("image")).unwrap();
        }
        assert!(self.mount(), "the file system cannot be mounted again");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.image.as_ref().unwrap().path().join(name)
    }

    fn mount(&self) -> bool {
        // Ext4 would make everything durable by itself every five seconds.
        works("mount", &["-o", "loop,commit=300", self.file("image").to_str().unwrap(), self.at.to_str().unwrap()])
    }

    fn unmount(&self) {
        let at = self.at.to_str().unwrap();
        // Whoever was killed may hold it for a moment.
        for _ in 0..200 {
            if works("umount", &[at]) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        run("umount", &["-l", at]);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A control group that limits memory; removed when dropped.
pub(crate) struct MemoryLimit {
    dir: PathBuf,
}

impl MemoryLimit {
    /// One of so many bytes, or says that it cannot.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let name = format!("event-pipeline-test-{}-{bytes}", std::process::id());
        for (root, file) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let limit = Self { dir: Path::new(root).join(&name) };
            if fs::create_dir(&limit.dir).is_ok() && fs::write(limit.dir.join(file), bytes.to_string()).is_ok() {
                return Some(limit);
            }
        }
        left_out("no control group can be made that limits memory");
        None
    }

    /// Starts the server in it.
    pub(crate) fn starter(&self) -> Vec<String> {
        let processes = self.dir.join("cgroup.procs").display().to_string();
        ["sh", "-c", r#"echo $$ >"$0" && exec "$@""#, &processes].map(str::to_owned).to_vec()
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        for _ in 0..200 {
            if fs::remove_dir(&self.dir).is_ok() || !self.dir.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
