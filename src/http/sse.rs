//! Server-sent events (HTML Living Standard, section 9.2): answers that go on until the source, the
//! client or the service ends them.
//!
//! What holds for every stream:
//! - It begins with a comment at once, and has one every 15 s, so that both sides know of each other.
//! - It ends as soon as the client has left or the service stops, and holds up neither.
//! - A client that does not read holds a part of what it was to get, some tens of KiB: nothing more is asked
//!   of the source until it reads on, and after `http.idle_timeout` without a byte taken it is cut off.
//! - A process has at most [`STREAMS_MAX`] of them.

use std::{
    fmt, io, mem,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{LocalBoxStream, Stream, StreamExt as _};
use hyper::{
    Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::{
    answer::{Answer, Body},
    code::RequestCode,
    context::IngestThread,
    problem::Problem,
    progress::Progress,
};

/// Most streams of a process at a time.
pub(super) const STREAMS_MAX: usize = 64;
/// When a client should come back that there was no stream for.
const RETRY_AFTER_S: u64 = 5;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// For proxies that hold answers back to send them in larger pieces (nginx).
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The body of an answer that is a stream.
pub(super) struct EventStream {
    progress: Rc<Progress>,
    has_begun: bool,
    events: LocalBoxStream<'static, Bytes>,
    heartbeat: Interval,
    _permit: OwnedSemaphorePermit,
}

/// Answers with what `events` yields, until it ends. Each item is one or more whole events, as [`write`]
/// writes them. It is asked for the next one when the last has gone to the system, or nearly so.
///
/// # Errors
/// 503 where the process has as many streams as it may have.
pub(super) fn answer(
    thread: &IngestThread,
    progress: &Rc<Progress>,
    events: impl Stream<Item = Bytes> + 'static,
) -> Result<Answer, Problem> {
    let permit = Arc::clone(thread.streams()).try_acquire_owned().map_err(|_| too_many())?;
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    progress.streaming();
    let stream = EventStream {
        progress: Rc::clone(progress),
        has_begun: false,
        events: events.boxed_local(),
        heartbeat,
        _permit: permit,
    };
    let mut response = Response::new(Body::Stream(Box::new(stream)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// The refusal where there may be no more streams.
pub(super) fn too_many() -> Problem {
    let detail = format!("the service has {STREAMS_MAX} live streams already; try again when one has ended");
    Problem::unavailable(RequestCode::Overloaded, detail, RETRY_AFTER_S)
}

/// Appends the event `name` with `data` as JSON to `text`.
pub(super) fn write(text: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    text.extend_from_slice(b"event: ");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\ndata: ");
    let lines = Lines { text, ended_with_cr: false };
    serde_json::to_writer(lines, data).expect("our own answers have a form in JSON");
    text.extend_from_slice(b"\n\n");
}

/// Writes lines of `data`. JSON that a client sent may have line ends between its tokens; the reader puts
/// the lines together again with a line feed between them.
struct Lines<'a> {
    text: &'a mut Vec<u8>,
    ended_with_cr: bool,
}

impl io::Write for Lines<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let mut rest = part;
        // A carriage return and a line feed are one line end, also where they come apart.
        if mem::take(&mut self.ended_with_cr) && rest.first() == Some(&b'\n') {
            rest = &rest[1..];
        }
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
            self.text.extend_from_slice(&rest[..at]);
            self.text.extend_from_slice(b"\ndata: ");
            let is_cr = rest[at] == b'\r';
            rest = &rest[at + 1..];
            match rest.first() {
                Some(b'\n') if is_cr => rest = &rest[1..],
                None => self.ended_with_cr = is_cr,
                Some(_) => {}
            }
        }
        self.text.extend_from_slice(rest);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl EventStream {
    /// The next bytes; `None` at the end.
    pub(super) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.progress.is_stream_over() {
            return Poll::Ready(None);
        }
        if !mem::replace(&mut self.has_begun, true) {
            return Poll::Ready(Some(Bytes::from_static(b": connected\n\n")));
        }
        if let Poll::Ready(events) = self.events.poll_next_unpin(cx) {
            return Poll::Ready(events);
        }
        ready!(self.heartbeat.poll_tick(cx));
        Poll::Ready(Some(Bytes::from_static(b":\n\n")))
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.progress.answered();
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("has_begun", &self.has_begun).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// The events of a stream, as the standard reads them: line ends are `\r\n`, `\n` and `\r`.
    fn read(stream: &str) -> Vec<(String, String)> {
        let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut name, mut data) = (Vec::new(), String::new(), Vec::new());
        for line in stream.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("data", value)) => data.push(value.to_owned()),
                _ if line.is_empty() => events.push((mem::take(&mut name), mem::take(&mut data).join("\n"))),
                _ => panic!("{line:?}"),
            }
        }
        events
    }

    fn written(json: &str) -> String {
        let mut text = Vec::new();
        write(&mut text, "event", &RawValue::from_string(json.to_owned()).unwrap());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn an_event_is_its_name_and_its_data() {
        let mut text = Vec::new();
        write(&mut text, "missed", &serde_json::json!({"events": 3}));
        write(&mut text, "event", &"a");
        assert_eq!(text, b"event: missed\ndata: {\"events\":3}\n\nevent: event\ndata: \"a\"\n\n");
    }

    #[test]
    fn line_ends_in_the_data_are_lines_of_the_event() {
        assert_eq!(
            written("{\n\"a\":\r\n1,\r\"b\":2}"),
            "event: event\ndata: {\ndata: \"a\":\ndata: 1,\ndata: \"b\":2}\n\n"
        );
        // Cut between the two bytes of one line end.
        let mut text = Vec::new();
        let mut lines = Lines { text: &mut text, ended_with_cr: false };
        io::Write::write_all(&mut lines, b"[1,\r").unwrap();
        io::Write::write_all(&mut lines, b"\n2]").unwrap();
        assert_eq!(text, b"[1,\ndata: 2]");
    }

    proptest! {
        #[test]
        fn data_with_any_line_ends_is_read_as_the_same_json(spaces in proptest::collection::vec("[ \t\r\n]{0,4}", 5)) {
            let [a, b, c, d, e] = &*spaces else { unreachable!() };
            let json = format!("{{{a}\"k\\n\"{b}:{c}[1{d},2]{e}}}");
            let events = read(&written(&json));
            prop_assert_eq!(events.len(), 1);
            let value: serde_json::Value = serde_json::from_str(&events[0].1).unwrap();
            prop_assert_eq!(value, serde_json::json!({"k\n": [1, 2]}));
        }
    }
}
