//! The dashboard in a real browser, as people see and use it, against the real binary.
//!
//! Needs Debian's `chromium` and `chromium-driver`. Where they are missing these tests say so and pass; with
//! `TEST_REQUIRE_BROWSER=1` they fail. `TEST_SCREENSHOTS=DIR` keeps pictures of what they saw.

#![cfg(test)]

#[expect(dead_code, reason = "the tests of the service use more of it")]
#[path = "../it/kit/mod.rs"]
mod kit;

mod driver;
mod live;
mod looks;
mod outage;
mod use_by_keys;

use std::process::{Child, Stdio};

use kit::server::{Server, binary};

/// The load generator against a server; ended when dropped.
struct Load(Child);

impl Load {
    /// So many events a second, in small batches.
    fn start(server: &Server, rate: u32) -> Self {
        let url = format!("http://{}", server.address());
        let mut command = binary();
        command.args(["bench", "--url", &url, "--rate", &rate.to_string()]);
        command.args(["--connections", "4", "--batch", "20", "--duration", "60s"]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
