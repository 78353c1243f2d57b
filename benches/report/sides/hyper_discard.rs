//! The least that an HTTP service on hyper can do: it reads the body, drops it, and answers 202.

use std::net::TcpListener;

use anyhow::Result;
use http_body_util::BodyExt as _;
use hyper::{StatusCode, body::Incoming};

use super::lean;

pub(crate) const NAME: &str = "hyper-discard";

pub(super) fn serve(listener: &TcpListener) -> Result<()> {
    lean::serve(listener, discard)
}

async fn discard(mut body: Incoming) -> StatusCode {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return StatusCode::BAD_REQUEST;
        }
    }
    StatusCode::ACCEPTED
}
