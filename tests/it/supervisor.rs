//! What a service manager hears over its socket: ready, reloads, stops, and signs of life.

use std::{
    env,
    io::Write as _,
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::kit::{
    PATIENCE,
    server::{Server, binary},
    until,
};

/// As of a manager that loses patience soon.
const WATCHDOG_USEC: &str = "800000";

/// A service, and the manager's end of the socket.
struct Scene {
    server: Server,
    manager: UnixDatagram,
}

impl Scene {
    fn start(environment: &[(&str, &str)]) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut command = binary();
        command.env("NOTIFY_SOCKET", &path).env_remove("WATCHDOG_PID").envs(environment.iter().copied());
        let server = Server::try_start(command, dir, &[]).unwrap();
        Self { server, manager }
    }

    /// The next message; `None` where none comes in time.
    fn hear(&self, patience: Duration) -> Option<String> {
        self.manager.set_read_timeout(Some(patience)).unwrap();
        let mut bytes = [0; 4096];
        let read = self.manager.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..read].to_vec()).unwrap())
    }

    /// Waits for a message with this line; the message.
    fn hear_of(&self, line: &str) -> String {
        let since = Instant::now();
        loop {
            let left = PATIENCE.checked_sub(since.elapsed()).unwrap_or_else(|| panic!("nothing of {line}"));
            match self.hear(left) {
                Some(message) if message.lines().any(|said| said == line) => return message,
                _ => {}
            }
        }
    }
}

#[test]
fn a_manager_hears_of_the_start_a_reload_and_the_end() {
    let mut scene = Scene::start(&[]);
    let ready = scene.hear(PATIENCE).unwrap();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(ready.contains(&format!("STATUS=serving on {}; the store is ", scene.server.address())), "{ready}");

    let before = monotonic_usec();
    scene.server.signal("HUP");
    let reloading = scene.hear_of("RELOADING=1");
    let usec = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!((before..=monotonic_usec()).contains(&usec.parse().unwrap()), "{reloading}");
    let reloaded = scene.hear_of("READY=1");
    assert!(reloaded.contains("STATUS=settings reloaded; changed: none"), "{reloaded}");

    scene.server.signal("TERM");
    let stopping = scene.hear_of("STOPPING=1");
    assert!(stopping.contains("STATUS=stopping"), "{stopping}");
    assert_eq!(scene.server.wait().code(), Some(0));
}

/// The clock that managers compare by.
fn monotonic_usec() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

#[test]
fn a_manager_that_does_not_watch_hears_no_signs_of_life() {
    for environment in [&[][..], &[("WATCHDOG_USEC", WATCHDOG_USEC), ("WATCHDOG_PID", "1")]] {
        let scene = Scene::start(environment);
        scene.hear_of("READY=1");
        while let Some(message) = scene.hear(Duration::from_millis(500)) {
            assert!(message.starts_with("STATUS="), "{message}");
        }
    }
}

#[test]
fn a_manager_hears_signs_of_life_until_the_end() {
    let mut scene = Scene::start(&[("WATCHDOG_USEC", WATCHDOG_USEC)]);
    for _ in 0..5 {
        let since = Instant::now();
        scene.hear_of("WATCHDOG=1");
        // Of a busy machine, all that can be said is that the manager's time was not over.
        assert!(since.elapsed() < Duration::from_millis(800), "{:?}", since.elapsed());
    }
    assert_eq!(scene.server.stop(), Some(0));
}

/// A debugger that holds one thread at its next system call.
struct Held(Child);

impl Held {
    /// Holds the server's thread of that name.
    fn thread(server: &Server, name: &str) -> Self {
        let tasks = format!("/proc/{}/task", server.pid());
        let is_it = |task: &std::fs::DirEntry| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let task = std::fs::read_dir(tasks).unwrap().map(Result::unwrap).find(is_it).unwrap();
        let mut command = Command::new("strace");
        command.args(["-o", "/dev/null", "-e", "inject=all:delay_enter=600s", "-p"]).arg(task.file_name());
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Not killed: it has to let go of the thread.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Whether threads can be held here; says so where they cannot.
fn can_hold() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        assert!(env::var("TEST_REQUIRE_FAULTS").as_deref() != Ok("1"), "{test} must run, but there is no strace");
        // Heard also when the test passes.
        std::io::stderr().write_all(format!("LEFT OUT: {test}: no strace\n").as_bytes()).unwrap();
    }
    works
}

#[test]
fn a_thread_that_hangs_ends_the_signs_of_life() {
    if !can_hold() {
        return;
    }
    for (name, part) in [
        ("ingest-0", "the listener or an ingest thread"),
        ("listener", "the listener or an ingest thread"),
        ("shard-0", "a shard's worker"),
    ] {
        let scene = Scene::start(&[("WATCHDOG_USEC", WATCHDOG_USEC)]);
        scene.hear_of("WATCHDOG=1");
        let held = Held::thread(&scene.server, name);
        let hangs = "a part of the service hangs; the watchdog hears nothing";
        until("the hung thread to be noticed", || !scene.server.said(hangs).is_empty());
        assert_eq!(scene.server.said(hangs)[0]["part"], part, "{name}");
        while scene.hear(Duration::from_millis(1)).is_some() {}
        assert_eq!(scene.hear(Duration::from_millis(1500)), None, "{name}: silence for longer than the manager waits");
        assert_eq!(scene.server.said(hangs).len(), 1, "one line for one change");
        drop(held);
        scene.hear_of("WATCHDOG=1");
        until("it to be said", || scene.server.said("the part that hung answers again").len() == 1);
    }
}
