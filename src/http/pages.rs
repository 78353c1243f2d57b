//! `GET /events`: stored events, newest first, page by page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, HeaderValue},
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    answer::{self, Answer},
    code::RequestCode,
    context::IngestThread,
    parameters::{Parameters, invalid},
    problem::Problem,
    query::{Document, document},
};
use crate::{
    event::Micros,
    storage::{
        Page, PageQuery, StoredEvent,
        page::{Filter, PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
    },
};

/// The parameters that the route takes.
const PARAMETERS: [&str; 7] = ["type", "user_id", "source", "from", "to", "limit", "cursor"];
/// Events of a page where `limit` is not given.
pub(super) const LIMIT: usize = 100;

/// Memory for pages on their way to clients; one that reads slowly keeps its part until it is told to go.
const ROOM_KIB: usize = 64 << 10;
/// What a page may take, for which there must be room before it is read.
const PAGE_KIB: usize = (2 * PAGE_BYTES_MAX) >> 10;
/// How long a request waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// One page of stored events, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventPage")]
pub(super) struct PageDocument<'a> {
    /// Fewer than asked for, or none, do not mean that it is the last page.
    #[schemars(with = "Vec<Document<'static>>")]
    events: Documents<'a>,
    /// What to give as `cursor` for the next page; `null` where this is the last one.
    next_cursor: Option<&'a str>,
}

/// Events, each as `GET /events/{id}` answers it.
struct Documents<'a>(&'a [StoredEvent]);

impl Serialize for Documents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // One by one: a document has a copy of its event's data.
        serializer.collect_seq(self.0.iter().map(document))
    }
}

/// Room for the pages that all threads of a server hold.
#[derive(Debug)]
pub(super) struct PageRoom(Arc<Semaphore>);

impl PageRoom {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_KIB)))
    }

    async fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.0).acquire_many_owned(PAGE_KIB as u32);
        timeout(ROOM_WAIT, room).await.ok()?.ok()
    }
}

/// A page's text, and the room that it takes until it is sent.
struct Held {
    text: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Held {
    fn new(text: Vec<u8>, mut room: OwnedSemaphorePermit) -> Self {
        let spare = room.num_permits().saturating_sub(text.len().div_ceil(1024));
        drop(room.split(spare));
        Self { text, _room: room }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Answers with the page that the query asks for.
pub(super) async fn events(thread: &IngestThread, query: Option<&str>) -> Result<Answer, Problem> {
    let (query, pipeline) = (page_query(query)?, thread.pipeline());
    let Some(room) = thread.page_room().reserve().await else {
        let detail = "other pages are being read or sent, and take all the room there is for them";
        return Err(Problem::unavailable(RequestCode::Overloaded, detail, pipeline.retry_after_s()));
    };
    let text = pipeline.page(query, write).await.map_err(|error| {
        let detail = format!("the store cannot be asked now ({})", error.code());
        Problem::unavailable(RequestCode::StoreUnavailable, detail, pipeline.retry_after_s())
    })?;
    let mut response = answer::json(StatusCode::OK, Bytes::from_owner(Held::new(text, room)));
    // The same request may find more in a moment.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn write(page: &Page) -> Vec<u8> {
    let document = PageDocument { events: Documents(&page.events), next_cursor: page.next_cursor.as_deref() };
    serde_json::to_vec(&document).expect("our own answers have a form in JSON")
}

fn page_query(query: Option<&str>) -> Result<PageQuery, Problem> {
    let parameters = Parameters::read(query, &PARAMETERS)?;
    let filter = Filter {
        kind: parameters.kind()?,
        user_id: parameters.user_id()?,
        source: parameters.source()?,
        from_s: parameters.time("from")?.map(next_second),
        until_s: parameters.time("to")?.map(next_second),
    };
    let limit = parameters.text("limit")?.map(|limit| {
        let digits = Some(limit).filter(|limit| limit.bytes().all(|byte| byte.is_ascii_digit()));
        let limit: Option<usize> = digits.and_then(|digits| digits.parse().ok());
        limit
            .filter(|limit| (1..=PAGE_EVENTS_MAX).contains(limit))
            .ok_or_else(|| invalid(format!("`limit` is not a number from 1 to {PAGE_EVENTS_MAX}")))
    });
    let cursor = parameters.text("cursor")?;
    PageQuery::new(filter, limit.transpose()?.unwrap_or(LIMIT), cursor.as_deref())
        .map_err(|error| invalid(format!("`cursor`: {error}")))
}

/// The first second that is not before this moment: the table has whole seconds.
fn next_second(time: Micros) -> i64 {
    Micros(time.0.saturating_add(999_999)).seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_within_a_second_counts_as_the_next_one() {
        for (micros, second) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (-1, 0), (-1_000_000, -1)] {
            assert_eq!(next_second(Micros(micros)), second, "{micros}");
        }
    }

    #[test]
    fn limits_from_1_to_1000_are_taken() {
        for good in ["", "limit=1", "limit=1000", "limit=%31"] {
            assert!(page_query(Some(good)).is_ok(), "{good}");
        }
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=+1", "limit=%2B1", "limit=1.0", "limit=", "limit=9e99"]
        {
            let detail = format!("{:?}", page_query(Some(bad)).unwrap_err());
            assert!(detail.contains("`limit`"), "{bad}: {detail}");
        }
    }

    #[test]
    fn a_page_keeps_the_room_that_it_takes_and_no_more() {
        let room = Arc::new(Semaphore::new(ROOM_KIB));
        let reserved = Arc::clone(&room).try_acquire_many_owned(PAGE_KIB as u32).unwrap();
        let held = Bytes::from_owner(Held::new(vec![b' '; 1500], reserved));
        assert_eq!(room.available_permits(), ROOM_KIB - 2);
        let sent = held.slice(1000..);
        drop(held);
        assert_eq!((sent.len(), room.available_permits()), (500, ROOM_KIB - 2));
        drop(sent);
        assert_eq!(room.available_permits(), ROOM_KIB);
    }
}
