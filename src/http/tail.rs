//! `GET /events/tail`: events as they become durable. `docs/TAIL.md` tells clients what to expect.

use std::rc::Rc;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use serde::Serialize;

use super::{
    answer::Answer, context::IngestThread, parameters::Parameters, problem::Problem, progress::Progress, query, sse,
};
use crate::pipeline::{Seen, Tail, TailFilter};

/// Events that are there at the same time go together, until they have so many bytes.
const PART_BYTES: usize = 16 << 10;

/// Some events were not shown.
#[derive(Serialize)]
struct Missed {
    events: u64,
}

/// Goes on with the events from now on that `?type=` and `?user_id=` choose.
pub(super) fn tail(thread: &IngestThread, progress: &Rc<Progress>, query: Option<&str>) -> Result<Answer, Problem> {
    let filter = filter(query)?;
    sse::answer(thread, progress, parts(thread.pipeline().tail(filter)))
}

fn filter(query: Option<&str>) -> Result<TailFilter, Problem> {
    let parameters = Parameters::read(query, &["type", "user_id"])?;
    Ok(TailFilter { kind: parameters.kind()?, user_id: parameters.user_id()? })
}

/// What is seen, written as events.
fn parts(tail: Tail) -> impl Stream<Item = Bytes> {
    unfold(tail, |mut tail| async move {
        let mut text = Vec::new();
        write(&mut text, &tail.next().await?);
        while text.len() < PART_BYTES
            && let Some(seen) = tail.next_now()
        {
            write(&mut text, &seen);
        }
        Some((Bytes::from(text), tail))
    })
}

fn write(text: &mut Vec<u8>, seen: &Seen) {
    match seen {
        Seen::Event(event) => sse::write(text, "event", &query::journaled(event)),
        Seen::Missed(events) => sse::write(text, "missed", &Missed { events: *events }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    #[test]
    fn events_are_chosen_by_type_and_user() {
        let chosen = |query: &str| filter(Some(query)).ok();
        assert_eq!(filter(None).ok(), Some(TailFilter::default()));
        assert_eq!(chosen(""), Some(TailFilter::default()));
        let both = TailFilter { kind: Some(EventType::SensorData), user_id: Some("дом + 1".to_owned()) };
        assert_eq!(chosen("user_id=%D0%B4%D0%BE%D0%BC+%2B%201&type=sensor_data"), Some(both));
        for refused in [
            "type=click",
            "type=User_Action",
            "type=",
            "user_id=",
            "limit=1",
            "Type=user_action",
            "type",
            "type=user_action&type=user_action",
            "user_id=a&user_id=b",
        ] {
            assert_eq!(chosen(refused), None, "{refused}");
        }
        assert_eq!(chosen(&format!("user_id={}", "x".repeat(51))), None);
    }
}
