//! `POST /events` and `POST /events/batch`.
//!
//! Each step returns early with a [`Problem`]: the head, the body, the events, their credits.
//! Once taken, events are on their way whatever becomes of the connection; what is left is to
//! wait for the acknowledgement and to say it.

use std::{mem, rc::Rc};

use hyper::{
    HeaderMap,
    body::Incoming,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
    http::request::Parts,
};

use super::{
    answer::{self, Answer},
    body,
    code::RequestCode,
    context::IngestThread,
    problem::Problem,
    progress::Progress,
    taken,
    terms::Terms,
};
use crate::{
    event::{Micros, Shape},
    pipeline::{AckLevel, Request},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Takes one event or a batch of them.
pub(super) async fn post(
    thread: &Rc<IngestThread>,
    progress: &Progress,
    terms: &Terms,
    head: &mut Parts,
    body: Incoming,
    shape: Shape,
) -> Result<Answer, Problem> {
    check_media_type(&head.headers)?;
    let level = ack_level(head.uri.query())?;
    let idempotency_key = idempotency_key(&head.headers)?;
    let body = body::read(thread, &terms.options, body).await?;
    progress.body_read();

    let level = level.unwrap_or(terms.ack);
    let request = Request { shape, level, ack_timeout: terms.ack_timeout, idempotency_key, received: Micros::now() };
    let events = thread.intake().take(&body, request);
    let events = events.map_err(|refused| Problem::refused(refused, shape, thread.pipeline().retry_after_s()))?;
    drop(body);
    thread.flush_soon();

    let reached = events.ack.wait().await;
    let waited_us = u64::try_from(Micros::now().0 - request.received.0).unwrap_or(0);
    thread.counters().metrics().record_acknowledgement(waited_us);

    let is_minimal = shape != Shape::Single && wants_minimal(&head.headers);
    let text = thread.text(|text| match (shape, events.accepted.as_slice()) {
        (Shape::Single, [(_, id)]) => taken::write_single(text, *id, &reached),
        (_, accepted) => {
            let events = taken::Events { received: events.received, accepted, rejections: &events.rejections };
            taken::write_batch(text, &events, &reached, is_minimal);
        }
    });
    let mut response = answer::json_in(mem::take(&mut head.headers), taken::status(shape, &reached), text);
    if is_minimal {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
    }
    Ok(response)
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    for coding in headers.get_all(CONTENT_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(Problem::unsupported_content_coding());
        }
    }
    match headers.get(CONTENT_TYPE).map(HeaderValue::to_str) {
        None => Ok(()),
        Some(Ok(media_type)) if is_json(media_type) => Ok(()),
        Some(_) => Err(Problem::unsupported_media_type()),
    }
}

fn is_json(media_type: &str) -> bool {
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    let essence = essence.trim();
    let charset_fits = parameters.split(';').all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    let is_named = |name: &str| essence.eq_ignore_ascii_case(name);
    let suffix = essence.len().checked_sub(5).and_then(|at| essence.get(at..)).unwrap_or_default();
    charset_fits && (is_named("application/json") || is_named("text/json") || suffix.eq_ignore_ascii_case("+json"))
}

/// The level of `?ack=`; parameters that are not known are left to other readers of the URL.
fn ack_level(query: Option<&str>) -> Result<Option<AckLevel>, Problem> {
    let mut level = None;
    for parameter in query.unwrap_or_default().split('&') {
        let Some(name) = parameter.strip_prefix("ack=") else { continue };
        let wanted = name.parse().map_err(|_| {
            Problem::bad_request(RequestCode::InvalidParameter, "`ack` is none of queued, durable, stored")
        })?;
        if level.replace(wanted).is_some_and(|before| before != wanted) {
            return Err(Problem::bad_request(RequestCode::InvalidParameter, "`ack` is given twice"));
        }
    }
    Ok(level)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) => Ok(Some(key)),
        _ => {
            let detail = format!("`Idempotency-Key` is not 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters");
            Err(Problem::bad_request(RequestCode::InvalidParameter, detail))
        }
    }
}

/// `Prefer: return=minimal` (RFC 7240).
fn wants_minimal(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split(',')).any(|preference| {
        let preference = preference.split(';').next().unwrap_or_default().trim();
        preference.eq_ignore_ascii_case("return=minimal")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_that_are_json() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/cloudevents+json", "text/json"]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn the_level_is_the_one_of_the_query() {
        let level = |query| ack_level(Some(query)).ok();
        assert_eq!(level("ack=queued"), Some(Some(AckLevel::Queued)));
        assert_eq!(level("x=1&ack=stored&y"), Some(Some(AckLevel::Stored)));
        assert_eq!(level("x=1"), Some(None));
        assert_eq!(level("ack="), None);
        assert_eq!(level("ack=queued&ack=stored"), None);
    }

    #[test]
    fn preferences_are_found_in_lists() {
        let minimal = |value| wants_minimal(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static(value))]));
        assert!(minimal("return=minimal"));
        assert!(minimal("respond-async, Return=Minimal; x=1"));
        assert!(!minimal("return=representation"));
    }
}
