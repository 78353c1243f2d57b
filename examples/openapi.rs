//! Writes the OpenAPI document of a service with default limits: `cargo run --example openapi > docs/openapi.json`.

use std::io::{self, Write as _};

use event_pipeline::http::{Options, openapi_document};

fn main() -> io::Result<()> {
    io::stdout().lock().write_all(openapi_document(&Options::default()).as_bytes())
}
