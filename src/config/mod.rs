//! The settings: one table of them, from which flags, variables, file keys, help and the README
//! follow; and the data directory.
//!
//! What holds:
//! - [`Settings`] are valid by construction: whoever holds them need not check a bound again.
//! - Flags go over the environment, that over the file, that over the defaults. A value that is
//!   wrong is an error even where another layer goes over it, and so is an unknown key.
//! - An error names the setting, where its value came from, and what would be right; it never
//!   holds a password.
//! - A reload takes over all that can change in a running service, or nothing ([`Source::reload`]).
//!
//! Only the command line uses this: each layer below has plain options of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::{http, pipeline, storage::Target};

mod data_dir;
mod error;
mod load;
mod reload;
mod table;
mod units;

#[cfg(test)]
mod tests;

pub use data_dir::{DataDir, DataDirError};
pub use error::ConfigError;
pub use reload::{Change, Reloaded, Source};
pub use table::{Reload, SETTINGS, Setting};

/// Everything that can be set, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address of the HTTP API.
    pub listen: SocketAddr,
    /// Where this node keeps its files.
    pub data_dir: PathBuf,
    /// Where events are stored.
    pub store: Target,
    /// How the pipeline behaves.
    pub pipeline: pipeline::Options,
    /// What clients may send.
    pub http: http::Options,
    /// How the service stops.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
}

/// How the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// The longest that finishing requests and draining may take together.
    pub grace: Duration,
    /// How long requests are served after the service has stopped being ready.
    pub drain_delay: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or several directives such as `info,event_pipeline::http=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            data_dir: PathBuf::from("data"),
            store: Target::Sqlite(None),
            pipeline: pipeline::Options::default(),
            http: http::Options::default(),
            shutdown: Shutdown { grace: Duration::from_secs(30), drain_delay: Duration::ZERO },
            log: Log { level: "info".to_owned(), format: LogFormat::Text },
        }
    }
}
