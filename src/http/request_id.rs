//! Which request it is: the client's `X-Request-Id` or one of ours, and the trace that it belongs to.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use uuid::Uuid;

/// Names a request, in its head and in the answer's.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer one is ignored.
const BYTES_MAX: usize = 128;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id that the client gave: 1 to 128 visible ASCII characters, once. Any other is as none.
pub(super) fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = only(headers, &REQUEST_ID)?;
    let is_good = (1..=BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    is_good.then(|| id.clone())
}

/// An id for a request without one.
pub(super) fn made() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::now_v7().as_hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("hex digits and hyphens are a header's value")
}

/// Where a request stands in a trace: what its `traceparent` says (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace<'a> {
    /// The whole trace: 32 digits in hex.
    pub(super) trace_id: &'a str,
    /// The client's own part, which sent the request: 16 digits in hex.
    pub(super) span_id: &'a str,
}

impl<'a> Trace<'a> {
    /// The trace of a request; none where `traceparent` is missing, there twice, or not as the standard
    /// wants it.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(only(headers, &TRACEPARENT)?.to_str().ok()?)
    }

    fn parse(text: &'a str) -> Option<Self> {
        // `VV-TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT-SSSSSSSSSSSSSSSS-FF`. Later versions may have more behind it.
        let mut parts = text.splitn(5, '-');
        let mut hex = |digits: usize| {
            let part = parts.next()?;
            let is_hex = part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            is_hex.then_some(part)
        };
        let (version, trace_id, span_id, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let is_nothing = |id: &str| id.bytes().all(|byte| byte == b'0');
        let is_too_long = version == "00" && parts.next().is_some();
        let is_wrong = version == "ff" || is_nothing(trace_id) || is_nothing(span_id) || is_too_long;
        (!is_wrong).then_some(Self { trace_id, span_id })
    }
}

/// The value of a field that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn given_of(ids: &[&[u8]]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for id in ids {
            headers.append(REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        }
        given(&headers)
    }

    #[test]
    fn an_id_is_visible_ascii_of_bounded_length_and_there_once() {
        for good in [&b"a"[..], b"0190-x/y:z;\"{}\\", &[b'~'; 128]] {
            assert_eq!(given_of(&[good]).unwrap().as_bytes(), good);
        }
        for bad in [&b""[..], b"a b", b"a\tb", "ä".as_bytes(), &[b'a'; 129]] {
            assert_eq!(given_of(&[bad]), None, "{bad:?}");
        }
        assert_eq!(given_of(&[b"a", b"a"]), None);
    }

    #[test]
    fn a_made_id_is_a_uuid_of_version_7() {
        let id = made();
        assert_eq!(Uuid::parse_str(id.to_str().unwrap()).unwrap().get_version_num(), 7);
        assert_ne!(made(), id);
    }

    #[test]
    fn a_trace_is_read_as_the_standard_says() {
        let (trace_id, span_id) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let later = [TRACE.replacen("00", "01", 1), format!("{}-more-", TRACE.replacen("00", "cc", 1))];
        for good in [TRACE, &TRACE.replace("-01", "-ff"), &later[0], &later[1]] {
            assert_eq!(Trace::parse(good), Some(Trace { trace_id, span_id }), "{good}");
        }
        for bad in [
            "",
            "00",
            &TRACE[..54],
            &format!("{TRACE}-"),
            &format!("{TRACE}-00"),
            &format!("{TRACE}0"),
            &format!(" {TRACE}"),
            &TRACE.replacen("00", "ff", 1),
            &TRACE.replacen("00", "0x", 1),
            &TRACE.to_uppercase(),
            &TRACE.replace(trace_id, &"0".repeat(32)),
            &TRACE.replace(span_id, &"0".repeat(16)),
            &TRACE.replace('-', "_"),
            &TRACE.replacen("00", "0", 1),
            &format!("{}x", TRACE.replacen("00", "01", 1)),
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(TRACE));
        assert!(Trace::of(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(TRACE));
        assert_eq!(Trace::of(&headers), None, "there twice");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_for_a_trace_is_one(text in "[0-9a-fA-F-]{50,60}|\\PC{0,60}|[0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-.*)?") {
            if let Some(Trace { trace_id, span_id }) = Trace::parse(&text) {
                prop_assert_eq!((trace_id.len(), span_id.len()), (32, 16));
                prop_assert_eq!(&text[2..36], format!("-{trace_id}-"));
                prop_assert_eq!(&text[36..53], format!("{span_id}-"));
                prop_assert!(u128::from_str_radix(trace_id, 16).unwrap() > 0);
                prop_assert!(u64::from_str_radix(span_id, 16).unwrap() > 0);
                prop_assert!(text.len() == 55 || (text.as_bytes()[55] == b'-' && !text.starts_with("00")));
            }
        }

        #[test]
        fn every_trace_of_version_0_is_read(trace in 1_u128.., span in 1_u64.., flags: u8) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let read = Trace::parse(&text).unwrap();
            prop_assert_eq!(read.trace_id, format!("{trace:032x}"));
            prop_assert_eq!(read.span_id, format!("{span:016x}"));
        }
    }
}
