//! A database server that may be stopped and killed.

use std::{env, process::Command};

use crate::kit::store::mysql::{Server, say};

/// A MariaDB server of the test's own, or the one that `TEST_MYSQL_URL` names.
pub(crate) enum Victim {
    Own(Server),
    Named { url: String, stop: String, start: String, kill: String },
}

impl Victim {
    /// One of each where there are such.
    pub(crate) fn all() -> Vec<Self> {
        Server::start(&[]).map(Self::Own).into_iter().chain(Self::named()).collect()
    }

    /// The one that is named, where the commands are.
    fn named() -> Option<Self> {
        let command = |name: &str| env::var(name).ok();
        let victim = (|| {
            Some(Self::Named {
                url: command("TEST_MYSQL_URL")?,
                stop: command("TEST_MYSQL_STOP")?,
                start: command("TEST_MYSQL_START")?,
                kill: command("TEST_MYSQL_KILL")?,
            })
        })();
        if victim.is_none() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            say(&format!(
                "LEFT OUT: {test}, on a server other than the test's own: \
                 TEST_MYSQL_URL, TEST_MYSQL_STOP, TEST_MYSQL_START and TEST_MYSQL_KILL are not all set"
            ));
        }
        victim
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Own(server) => &server.url,
            Self::Named { url, .. } => url,
        }
    }

    /// Stops it in order.
    pub(crate) fn stop(&self) {
        match self {
            Self::Own(server) => server.stop(),
            Self::Named { stop, .. } => run(stop),
        }
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&self) {
        match self {
            Self::Own(server) => server.kill(),
            Self::Named { kill, .. } => run(kill),
        }
    }

    /// Starts it with the data it had, and waits until it answers.
    pub(crate) fn start(&self) {
        match self {
            Self::Own(server) => server.start_again(&[]),
            Self::Named { start, .. } => run(start),
        }
    }
}

fn run(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}
