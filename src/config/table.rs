//! The table of settings. What a setting is called, means, accepts and defaults to is said here
//! and nowhere else.

use std::{path::PathBuf, time::Duration};

use tracing_subscriber::EnvFilter;

use super::{
    LogFormat, Settings,
    units::{Problem, address, count, duration, list, quoted, show_duration, show_size, size, word},
};
use crate::{
    journal::SEGMENT_BYTES_MIN,
    pipeline::{AckLevel, NoSuchLevel},
    sync::Amount,
};

/// Shards have threads: more than this is a mistake.
const SHARDS_MAX: u64 = 1024;
/// A batch larger than any store takes at a time.
const BATCH_EVENTS_MAX: u64 = 1_000_000;
const BATCH_BYTES_MAX: u64 = 1 << 30;
const BODY_BYTES_MAX: u64 = 1 << 30;
const BODY_BYTES_MIN: u64 = 100;
const REQUEST_EVENTS_MAX: u64 = 100_000;
const CONNECTIONS_MAX: u64 = 1_000_000;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Files of the journal are multiples of this.
const SEGMENT_UNIT: u64 = 4096;
const KEEP_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const LINGER_MAX: Duration = Duration::from_secs(60);
/// The longest of all other waits: beyond a day somebody meant something else.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest limit on something that takes its time.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// When a value that was changed counts in a service that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// From the next reload on (SIGHUP).
    Live,
    /// After a restart.
    Restart,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name as a flag (`--batch.linger`) and in the file (`[batch] linger`).
    pub key: &'static str,
    /// What it is, in a phrase.
    pub meaning: &'static str,
    /// When a value that was changed counts.
    pub reload: Reload,
    /// Takes this setting's value over from others.
    copy: fn(&mut Settings, &Settings),
    set: fn(&mut Settings, &str) -> Result<(), Problem>,
    show: fn(&Settings) -> String,
}

/// All settings, in the order in which they are documented.
pub static SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        meaning: "address of the HTTP API",
        reload: Reload::Restart,
        copy: |to, from| to.listen = from.listen,
        set: |to, text| put(&mut to.listen, address(text)),
        show: |of| of.listen.to_string(),
    },
    Setting {
        key: "data_dir",
        meaning: "this node's files and the embedded database (mode 0700, locked against a second process)",
        reload: Reload::Restart,
        copy: |to, from| to.data_dir.clone_from(&from.data_dir),
        set: |to, text| match text {
            "" => Err("is empty; give a directory, such as data".to_owned()),
            path => put(&mut to.data_dir, Ok(PathBuf::from(path))),
        },
        show: |of| of.data_dir.display().to_string(),
    },
    Setting {
        key: "store",
        meaning: "`sqlite`, `sqlite:PATH`, `mysql://user:password@host:3306/eventdb[,host2…]`, or `discard` \
                  (counts and drops: for benchmarks)",
        reload: Reload::Restart,
        copy: |to, from| to.store.clone_from(&from.store),
        // The value may hold a password, and its errors are made so that they do not.
        set: |to, text| {
            put(&mut to.store, text.parse().map_err(|error: crate::storage::TargetError| error.to_string()))
        },
        show: |of| of.store.to_string(),
    },
    Setting {
        key: "shards",
        meaning: "how many shards; 0 is one per core",
        reload: Reload::Restart,
        copy: |to, from| to.pipeline.shards = from.pipeline.shards,
        set: |to, text| put(&mut to.pipeline.shards, count(text, 0..=SHARDS_MAX)),
        show: |of| of.pipeline.shards.to_string(),
    },
    Setting {
        key: "ack",
        meaning: "acknowledgement level of requests that name none: `queued`, `durable` or `stored`",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.ack = from.pipeline.ack,
        set: |to, text| put(&mut to.pipeline.ack, ack(text)),
        show: |of| of.pipeline.ack.to_string(),
    },
    Setting {
        key: "ack_timeout",
        meaning: "longest wait for `stored`",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.ack_timeout = from.pipeline.ack_timeout,
        set: |to, text| put(&mut to.pipeline.ack_timeout, duration(text, WAIT_MIN..=WAIT_MAX)),
        show: |of| show_duration(of.pipeline.ack_timeout),
    },
    Setting {
        key: "batch.max_events",
        meaning: "a shard flushes at this many events",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.batch.max_events = from.pipeline.batch.max_events,
        set: |to, text| put(&mut to.pipeline.batch.max_events, count(text, 1..=BATCH_EVENTS_MAX)),
        show: |of| of.pipeline.batch.max_events.to_string(),
    },
    Setting {
        key: "batch.max_bytes",
        meaning: "or at this many bytes",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.batch.max_bytes = from.pipeline.batch.max_bytes,
        set: |to, text| put(&mut to.pipeline.batch.max_bytes, bytes(text, 1, BATCH_BYTES_MAX)),
        show: |of| show_size(of.pipeline.batch.max_bytes as u64),
    },
    Setting {
        key: "batch.linger",
        meaning: "or when its oldest event has waited this long",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.batch.linger = from.pipeline.batch.linger,
        set: |to, text| put(&mut to.pipeline.batch.linger, duration(text, Duration::ZERO..=LINGER_MAX)),
        show: |of| show_duration(of.pipeline.batch.linger),
    },
    Setting {
        key: "queue.max_events",
        meaning: "events that one shard holds in memory, until the journal has them",
        reload: Reload::Restart,
        copy: |to, from| to.pipeline.queue.events = from.pipeline.queue.events,
        set: |to, text| {
            let events = count(text, 1..=u64::from(Amount::MAX.events));
            put(&mut to.pipeline.queue.events, events.map(|events| events as u32))
        },
        show: |of| of.pipeline.queue.events.to_string(),
    },
    Setting {
        key: "queue.max_bytes",
        meaning: "bytes that one shard holds in memory",
        reload: Reload::Restart,
        copy: |to, from| to.pipeline.queue.bytes = from.pipeline.queue.bytes,
        set: |to, text| put(&mut to.pipeline.queue.bytes, size(text, 1..=Amount::MAX.bytes)),
        show: |of| show_size(of.pipeline.queue.bytes),
    },
    Setting {
        key: "journal.segment_bytes",
        meaning: "bytes of one file of the journal; a larger request gets a file of its own",
        reload: Reload::Restart,
        copy: |to, from| to.pipeline.journal.segment_bytes = from.pipeline.journal.segment_bytes,
        set: |to, text| {
            let size = size(text, SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX);
            put(&mut to.pipeline.journal.segment_bytes, size.map(|size| size.next_multiple_of(SEGMENT_UNIT)))
        },
        show: |of| show_size(of.pipeline.journal.segment_bytes),
    },
    Setting {
        key: "journal.max_bytes",
        meaning: "bytes of all files of the journal together; when they are used up, requests are answered 503 (`journal_full`)",
        reload: Reload::Restart,
        copy: |to, from| to.pipeline.journal.max_bytes = from.pipeline.journal.max_bytes,
        set: |to, text| put(&mut to.pipeline.journal.max_bytes, size(text, SEGMENT_BYTES_MIN..=u64::MAX)),
        show: |of| show_size(of.pipeline.journal.max_bytes),
    },
    Setting {
        key: "journal.keep",
        meaning: "how long stored events stay in the journal for a replay, at most",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.journal.keep = from.pipeline.journal.keep,
        set: |to, text| put(&mut to.pipeline.journal.keep, duration(text, Duration::ZERO..=KEEP_MAX)),
        show: |of| show_duration(of.pipeline.journal.keep),
    },
    Setting {
        key: "journal.keep_bytes",
        meaning: "how many bytes of them stay, at most; they give way when room is needed",
        reload: Reload::Live,
        copy: |to, from| to.pipeline.journal.keep_bytes = from.pipeline.journal.keep_bytes,
        set: |to, text| put(&mut to.pipeline.journal.keep_bytes, size(text, 0..=u64::MAX)),
        show: |of| show_size(of.pipeline.journal.keep_bytes),
    },
    Setting {
        key: "http.max_batch_events",
        meaning: "most events of one batch request",
        reload: Reload::Live,
        copy: |to, from| to.http.max_batch_events = from.http.max_batch_events,
        set: |to, text| put(&mut to.http.max_batch_events, count(text, 1..=REQUEST_EVENTS_MAX)),
        show: |of| of.http.max_batch_events.to_string(),
    },
    Setting {
        key: "http.max_body_bytes",
        meaning: "most bytes of one body",
        reload: Reload::Live,
        copy: |to, from| to.http.max_body_bytes = from.http.max_body_bytes,
        set: |to, text| put(&mut to.http.max_body_bytes, bytes(text, BODY_BYTES_MIN, BODY_BYTES_MAX)),
        show: |of| show_size(of.http.max_body_bytes as u64),
    },
    Setting {
        key: "http.max_connections",
        meaning: "most connections at a time",
        reload: Reload::Live,
        copy: |to, from| to.http.max_connections = from.http.max_connections,
        set: |to, text| put(&mut to.http.max_connections, count(text, 1..=CONNECTIONS_MAX)),
        show: |of| of.http.max_connections.to_string(),
    },
    Setting {
        key: "http.header_timeout",
        meaning: "from a request head's first byte to its end",
        reload: Reload::Live,
        copy: |to, from| to.http.header_timeout = from.http.header_timeout,
        set: |to, text| put(&mut to.http.header_timeout, duration(text, WAIT_MIN..=WAIT_MAX)),
        show: |of| show_duration(of.http.header_timeout),
    },
    Setting {
        key: "http.body_timeout",
        meaning: "from the head's end to the body's end",
        reload: Reload::Live,
        copy: |to, from| to.http.body_timeout = from.http.body_timeout,
        set: |to, text| put(&mut to.http.body_timeout, duration(text, WAIT_MIN..=WAIT_MAX)),
        show: |of| show_duration(of.http.body_timeout),
    },
    Setting {
        key: "http.idle_timeout",
        meaning: "between two requests of a connection",
        reload: Reload::Live,
        copy: |to, from| to.http.idle_timeout = from.http.idle_timeout,
        set: |to, text| put(&mut to.http.idle_timeout, duration(text, WAIT_MIN..=WAIT_MAX)),
        show: |of| show_duration(of.http.idle_timeout),
    },
    Setting {
        key: "http.cors_origins",
        meaning: "origins that browsers may post from, with commas between (`*` for any)",
        reload: Reload::Live,
        copy: |to, from| to.http.cors_origins.clone_from(&from.http.cors_origins),
        set: |to, text| put(&mut to.http.cors_origins, origins(text)),
        show: |of| of.http.cors_origins.join(","),
    },
    Setting {
        key: "shutdown.grace",
        meaning: "longest time to finish requests and store what was accepted",
        reload: Reload::Live,
        copy: |to, from| to.shutdown.grace = from.shutdown.grace,
        set: |to, text| put(&mut to.shutdown.grace, duration(text, Duration::ZERO..=WAIT_MAX)),
        show: |of| show_duration(of.shutdown.grace),
    },
    Setting {
        key: "shutdown.drain_delay",
        meaning: "how long it serves on after it has stopped being ready",
        reload: Reload::Live,
        copy: |to, from| to.shutdown.drain_delay = from.shutdown.drain_delay,
        set: |to, text| put(&mut to.shutdown.drain_delay, duration(text, Duration::ZERO..=WAIT_MAX)),
        show: |of| show_duration(of.shutdown.drain_delay),
    },
    Setting {
        key: "log.level",
        meaning: "`error`, `warn`, `info`, `debug`, `trace`, `off`, or directives such as \
                  `info,event_pipeline::http=debug`",
        reload: Reload::Live,
        copy: |to, from| to.log.level.clone_from(&from.log.level),
        set: |to, text| put(&mut to.log.level, log_level(text)),
        show: |of| of.log.level.clone(),
    },
    Setting {
        key: "log.format",
        meaning: "`text` or `json`",
        reload: Reload::Live,
        copy: |to, from| to.log.format = from.log.format,
        set: |to, text| put(&mut to.log.format, word(text, &LOG_FORMATS)),
        show: |of| {
            let name = LOG_FORMATS.iter().find(|(_, format)| *format == of.log.format);
            name.map_or_else(String::new, |(name, _)| (*name).to_owned())
        },
    },
];

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

impl Setting {
    /// The default as it would be written; `none` where it is empty.
    pub fn default_text(&self) -> String {
        let text = (self.show)(&Settings::default());
        if text.is_empty() { "none".to_owned() } else { text }
    }

    /// Words that may be the value, for shells to complete; where it may be something else too, those that it
    /// mostly is.
    pub fn words(&self) -> &'static [&'static str] {
        match self.key {
            "store" => &["sqlite", "discard"],
            "ack" => &["queued", "durable", "stored"],
            "log.level" => &LOG_LEVELS,
            "log.format" => &["text", "json"],
            _ => &[],
        }
    }

    /// When a changed value counts, in a word.
    pub fn reload_text(&self) -> &'static str {
        match self.reload {
            Reload::Live => "yes",
            Reload::Restart => "restart",
        }
    }

    /// The value as it would be written, without a password.
    pub fn show(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }

    /// Takes the value over from `from`.
    pub(super) fn copy(&self, to: &mut Settings, from: &Settings) {
        (self.copy)(to, from);
    }

    /// Reads `text` into `settings`, which stay as they are where it is wrong.
    pub(super) fn set(&self, settings: &mut Settings, text: &str) -> Result<(), Problem> {
        (self.set)(settings, text)
    }

    /// The name in the environment.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.replace('.', "__").to_uppercase())
    }
}

/// How our variables begin.
pub(super) const PREFIX: &str = "EVENT_PIPELINE_";

fn put<T>(place: &mut T, value: Result<T, Problem>) -> Result<(), Problem> {
    *place = value?;
    Ok(())
}

fn bytes(text: &str, min: u64, max: u64) -> Result<usize, Problem> {
    usize::try_from(size(text, min..=max)?).map_err(|_| "is more than this machine can count".to_owned())
}

fn ack(text: &str) -> Result<AckLevel, Problem> {
    text.parse().map_err(|error: NoSuchLevel| format!("{} {error}", quoted(text)))
}

fn origins(text: &str) -> Result<Vec<String>, Problem> {
    let origins = list(text);
    for origin in &origins {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        let plain = host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte));
        if origin != "*" && (host.is_empty() || !plain) {
            return Err(format!("{} is not an origin, such as https://shop.example", quoted(origin)));
        }
    }
    Ok(origins)
}

fn log_level(text: &str) -> Result<String, Problem> {
    // A filter takes a lone word for the name of a module, and a slip in a level would silence all.
    let is_level = |part: &str| LOG_LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
    let understood = text.split(',').all(|part| is_level(part.trim()) || part.contains(['=', '[']));
    if understood && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!("{} is no level ({}) and no list of directives (MODULE=LEVEL,…)", quoted(text), LOG_LEVELS.join(", ")))
}
