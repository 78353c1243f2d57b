//! What answers to events say, read as far as a load generator needs it: the level, and who was refused.

use serde::Deserialize;

/// How the answer to a batch ends where nothing of it was refused.
const NOTHING_REFUSED: &[u8] = br#""errors":[]}"#;

/// What the body of a 2xx may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    ack: Option<String>,
    errors: Vec<Refused>,
    dead: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    index: usize,
}

/// The level that a 2xx says it reached.
pub(super) fn ack(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Body>(body).ok()?.ack
}

/// The events of the request, of which there were `events`, that a 2xx did not take or not keep:
/// their indexes, ascending.
pub(super) fn refused(body: &[u8], events: usize) -> Vec<usize> {
    // Nearly all answers; the others may take their time.
    if body.ends_with(NOTHING_REFUSED) || (events == 1 && !body.windows(6).any(|word| word == b"\"dead\"")) {
        return Vec::new();
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    if events == 1 {
        return Vec::from_iter((body.ack.as_deref() == Some("dead")).then_some(0));
    }
    let mut refused: Vec<usize> = body.errors.iter().chain(&body.dead).map(|refused| refused.index).collect();
    refused.retain(|index| *index < events);
    refused.sort_unstable();
    refused.dedup();
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_and_dead_events_are_refused() {
        let batch = br#"{"ack":"stored","errors":[{"index":4,"code":"x"}],"dead":[{"index":1,"code":"y"}]}"#;
        assert_eq!(refused(batch, 5), [1, 4]);
        assert_eq!(refused(batch, 3), [1], "what was not sent is not counted");
        assert_eq!(refused(br#"{"ack":"durable","ids":["x"],"errors":[]}"#, 5), [0; 0]);
        assert_eq!(refused(br#"{"id":"x","ack":"dead","code":"y"}"#, 1), [0]);
        assert_eq!(refused(br#"{"id":"x","ack":"durable"}"#, 1), [0; 0]);
        assert_eq!(refused(b"", 5), [0; 0]);
        assert_eq!(ack(br#"{"id":"x","ack":"durable"}"#).as_deref(), Some("durable"));
    }
}
