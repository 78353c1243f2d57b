//! A terminal with a program in it: what is on its screen, keys that are pressed, its size.

use std::{
    io::{Read as _, Write as _},
    num::NonZero,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
};

use pty_process::{
    Size,
    blocking::{self, Pty},
};
use rustix::termios::{LocalModes, tcgetattr};

use super::until;

/// What is not zero.
fn some(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

/// A pseudo terminal and the program in it, which is killed when this is dropped.
pub(crate) struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// What the program has written.
struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts the program in a terminal of so many columns and rows.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let (pty, pts) = blocking::open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let mut inner = blocking::Command::new(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            inner = match value {
                Some(value) => inner.env(name, value),
                None => inner.env_remove(name),
            };
        }
        let child = inner.env("TERM", "xterm-256color").spawn(pts).unwrap();
        let seen =
            Arc::new(Mutex::new(Seen { screen: vt100::Parser::new(some(rows), some(columns), 0), bytes: Vec::new() }));
        let pty = Arc::new(pty);
        let (from, to) = (Arc::clone(&pty), Arc::clone(&seen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Once the program is gone there is an error or nothing more.
            while let Ok(count @ 1..) = (&*from).read(&mut buffer) {
                let mut seen = to.lock().unwrap();
                seen.screen.process(&buffer[..count]);
                seen.bytes.extend_from_slice(&buffer[..count]);
            }
        });
        Self { pty, child, seen }
    }

    /// The lines on the screen.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Everything that the program has written, with what drives the terminal.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    /// Waits until these words are on the screen.
    #[track_caller]
    pub(crate) fn shows(&self, words: &str) {
        until(&format!("{words:?} on the screen, not\n{}", self.screen()), || self.screen().contains(words));
    }

    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size, as a window that is pulled does.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.seen.lock().unwrap().screen.screen_mut().set_size(some(rows), some(columns));
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the program's end; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the program in the terminal to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// Whether a full screen of its own is shown, without a cursor.
    pub(crate) fn is_taken(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.screen.screen().alternate_screen() && seen.screen.screen().hide_cursor()
    }

    /// Whether the terminal is as a shell expects it: its own screen, a cursor, lines that are echoed.
    pub(crate) fn is_given_back(&self) -> bool {
        let modes = tcgetattr(&*self.pty).unwrap().local_modes;
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
            && !screen.alternate_screen()
            && !screen.hide_cursor()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the terminal's screen:\n{}", self.screen());
        }
    }
}
