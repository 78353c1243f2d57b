//! What is not served: each problem is answered with the request's id, and logged with it and its trace.
//!
//! Clients can provoke these lines, so that their number is bounded where the log is set up; nothing is
//! read for them where they are not written.

use std::any::Any;

use hyper::{StatusCode, header::HeaderValue, http::request::Parts};

use super::{
    answer::Answer,
    problem::Problem,
    request_id::{self, Trace},
};

/// Most bytes of a path that are logged.
const PATH_BYTES_MAX: usize = 256;

/// Logs a problem with the values of its request.
macro_rules! log {
    ($write:ident, $message:literal, $problem:expr, $request_id:expr, $head:expr $(, $name:ident = $value:expr)?) => {
        tracing::$write!(
            status = $problem.status().as_u16(),
            code = $problem.code().as_str(),
            detail = $problem.detail(),
            method = $head.map(|head: &Parts| head.method.as_str()),
            path = $head.map(path),
            request_id = $request_id.to_str().unwrap_or_default(),
            trace_id = $head.and_then(|head| Trace::of(&head.headers)).map(|trace| trace.trace_id),
            span_id = $head.and_then(|head| Trace::of(&head.headers)).map(|trace| trace.span_id),
            $($name = $value,)?
            $message
        )
    };
}

/// The answer to a request that is not served; its own id, where it has one.
pub(super) fn answer(problem: Problem, request_id: Option<HeaderValue>, head: &Parts) -> Answer {
    answered(problem, request_id, head, None)
}

/// The answer to a request whose handler panicked.
pub(super) fn panicked(panic: &(dyn Any + Send), request_id: Option<HeaderValue>, head: &Parts) -> Answer {
    // Where it was, the panic hook has logged.
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    answered(Problem::internal(), request_id, head, Some(text.unwrap_or("not a text")))
}

/// The answer to a request of which not even the head was read, in bytes.
pub(super) fn unread(problem: Problem) -> Vec<u8> {
    let request_id = request_id::made();
    log(&problem, &request_id, None, None);
    problem.into_raw(request_id)
}

fn answered(problem: Problem, request_id: Option<HeaderValue>, head: &Parts, panic: Option<&str>) -> Answer {
    let request_id = request_id.unwrap_or_else(request_id::made);
    log(&problem, &request_id, Some(head), panic);
    problem.into_response(request_id)
}

fn log(problem: &Problem, request_id: &HeaderValue, head: Option<&Parts>, panic: Option<&str>) {
    match problem.status() {
        StatusCode::INTERNAL_SERVER_ERROR => log!(error, "a request failed", problem, request_id, head, panic = panic),
        StatusCode::SERVICE_UNAVAILABLE => log!(warn, "a request cannot be served now", problem, request_id, head),
        _ => log!(debug, "a request was refused", problem, request_id, head),
    }
}

fn path(head: &Parts) -> &str {
    let path = head.uri.path();
    &path[..path.floor_char_boundary(PATH_BYTES_MAX)]
}
