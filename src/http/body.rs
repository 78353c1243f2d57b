//! A request's body, whole and within its limits.

use std::{ops::Deref, pin::pin, rc::Rc};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use http_body_util::BodyExt as _;
use hyper::{
    StatusCode,
    body::{Body as _, Incoming},
};

use super::{
    Options,
    code::RequestCode,
    context::{BodyRoom, IngestThread},
    problem::Problem,
};

/// A body that was read to its end.
#[derive(Debug)]
pub(super) enum Whole {
    /// It came in one piece.
    Piece(Bytes),
    /// It was put together.
    Parts(BodyRoom),
}

impl Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Piece(bytes) => bytes,
            Self::Parts(room) => &room.bytes,
        }
    }
}

/// Reads the body to its end.
///
/// # Errors
/// 413 where it has too many bytes (before a byte of it is read, where the client says how many
/// it has), 408 where it takes too long, 400 where it ends early, 503 where too many bodies
/// arrive at once.
pub(super) async fn read(thread: &Rc<IngestThread>, options: &Options, mut body: Incoming) -> Result<Whole, Problem> {
    let bytes_max = options.max_body_bytes;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::body_too_large(bytes_max).close());
    }
    let mut reading = pin!(collect(thread, &mut body, bytes_max));
    // A small body came with its head: it needs no timer.
    if let Some(read) = poll_immediate(reading.as_mut()).await {
        return read;
    }
    let timed = tokio::time::timeout(options.body_timeout, reading);
    timed.await.unwrap_or_else(|_| Err(Problem::timeout("the body did not arrive in time")))
}

async fn collect(thread: &Rc<IngestThread>, body: &mut Incoming, bytes_max: usize) -> Result<Whole, Problem> {
    let Some(first) = next(body, bytes_max, 0).await? else { return Ok(Whole::Piece(Bytes::new())) };
    let announced = body.size_hint();
    if announced.exact() == Some(0) {
        return Ok(Whole::Piece(first));
    }
    // It comes in parts, which are held until the last one: there is a bound to that.
    let expected = match announced.exact() {
        Some(rest) => first.len() + usize::try_from(rest).unwrap_or(bytes_max),
        None => bytes_max,
    };
    let mut room: BodyRoom = thread.reserve_body(expected).ok_or_else(|| {
        let detail = "too many bodies arrive at once; try again";
        Problem::unavailable(RequestCode::Overloaded, detail, 1).close()
    })?;
    room.bytes.reserve(if announced.exact().is_some() { expected } else { 2 * first.len() });
    room.bytes.extend_from_slice(&first);
    while let Some(part) = next(body, bytes_max, room.bytes.len()).await? {
        room.bytes.extend_from_slice(&part);
    }
    Ok(Whole::Parts(room))
}

/// The next part of a body that has `before` bytes already and at most `bytes_max` in all.
async fn next(body: &mut Incoming, bytes_max: usize, before: usize) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!("the body ended early or is not well-formed: {error}");
            Problem::new(StatusCode::BAD_REQUEST, RequestCode::IncompleteBody, detail).close()
        })?;
        // Trailers have no meaning here.
        let Ok(data) = frame.into_data() else { continue };
        if before + data.len() > bytes_max {
            return Err(Problem::body_too_large(bytes_max).close());
        }
        if !data.is_empty() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
