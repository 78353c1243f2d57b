//! What the tests speak through: the server, a client, the stores.

pub(crate) mod client;
pub(crate) mod conformance;
#[allow(dead_code, reason = "the tests of faults read no streams")]
pub(crate) mod events;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod terminal;

use std::time::{Duration, Instant};

/// Longer than any step of a test takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
