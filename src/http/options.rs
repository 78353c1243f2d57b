//! The limits of the HTTP side.

use std::time::Duration;

/// What a client may send, and how long it may take. [`Default`] is what the service uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most events of one batch request.
    pub max_batch_events: usize,
    /// Most bytes of one body.
    pub max_body_bytes: usize,
    /// Most connections at a time; one more is answered 503 and closed.
    pub max_connections: usize,
    /// From a request head's first byte to its last.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Origins whose pages may post from a browser; `*` for any.
    pub cors_origins: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_batch_events: 100,
            max_body_bytes: 1 << 20,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            cors_origins: Vec::new(),
        }
    }
}
