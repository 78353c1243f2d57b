//! What pages of every store have in common: the same rows, the same questions, the same answers.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use event_pipeline::{
    event::{EventType, Receipt, Source},
    storage::{
        Batch, PageQuery, Row, Storage, StoredEvent,
        page::{Filter, PAGE_EVENTS_MAX},
    },
};
use uuid::Uuid;

/// As many rows are stored before anybody reads.
pub(crate) const ROWS: u64 = 10_000;
const BEGAN_S: i64 = 1_768_473_000;
/// So few that thousands of rows share one.
const SECONDS: i64 = 7;

/// Users that many collations take for one another.
const USERS: [Option<&str>; 5] = [None, Some("ada"), Some("Ada"), Some("ada "), Some("🦀")];
/// All but mobile.
const SOURCES: [Source; 3] = [Source::Web, Source::IotDevice, Source::System];

/// A row of the suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) id: Uuid,
    kind: EventType,
    source: Source,
    user_id: Option<&'static str>,
    created_at_s: i64,
}

impl Made {
    /// The row of that number: other numbers have other ids, in no order that can be seen.
    pub(crate) fn numbered(number: u64) -> Self {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The top bits of a product are the well-mixed ones.
        let choice = |bits: u32, of: u64| (mixed.rotate_left(bits) >> 32) % of;
        Self {
            id: Uuid::from_u64_pair(mixed, number),
            kind: EventType::ALL[choice(3, 3) as usize],
            source: SOURCES[choice(17, 3) as usize],
            user_id: USERS[choice(29, 5) as usize],
            created_at_s: BEGAN_S + choice(41, SECONDS as u64) as i64,
        }
    }

    /// Whether the filter lists it.
    fn is_listed(&self, filter: &Filter) -> bool {
        filter.kind.is_none_or(|kind| kind == self.kind)
            && filter.source.is_none_or(|source| source == self.source)
            && filter.user_id.as_deref().is_none_or(|user_id| Some(user_id) == self.user_id)
            && filter.from_s.is_none_or(|from_s| self.created_at_s >= from_s)
            && filter.until_s.is_none_or(|until_s| self.created_at_s < until_s)
    }
}

/// The batch of these rows.
pub(crate) fn batch(rows: &[Made]) -> Arc<Batch> {
    let mut batch = Batch::default();
    for row in rows {
        let receipt = Receipt(row.id.as_u128());
        batch.push(&Row {
            id: row.id,
            kind: row.kind,
            source: row.source,
            user_id: row.user_id,
            processed_data: &format!(r#"{{"data": {{}}, "receipt": "{receipt}"}}"#),
            processing_time_ms: 1,
            created_at_s: row.created_at_s,
            processed_at_s: row.created_at_s + 1,
            receipt,
        });
    }
    Arc::new(batch)
}

/// Stores the rows of these numbers.
pub(crate) async fn fill(store: &dyn Storage, numbers: std::ops::Range<u64>) -> Vec<Made> {
    let rows: Vec<Made> = numbers.map(Made::numbered).collect();
    for rows in rows.chunks(1000) {
        store.store(&batch(rows), 0..rows.len()).await.unwrap();
    }
    rows
}

/// Every combination of filters, one of which lists nothing.
pub(crate) fn filters() -> Vec<Filter> {
    let mut filters = Vec::new();
    for kind in [None, Some(EventType::SensorData)] {
        for user_id in [None, Some("ada".to_owned())] {
            for source in [None, Some(Source::Web)] {
                for (from_s, until_s) in
                    [(None, None), (Some(BEGAN_S + 2), None), (Some(BEGAN_S + 1), Some(BEGAN_S + 4))]
                {
                    filters.push(Filter { kind, user_id: user_id.clone(), source, from_s, until_s });
                }
            }
        }
    }
    filters.push(Filter { until_s: Some(BEGAN_S + 3), ..Filter::default() });
    filters.push(Filter { source: Some(Source::Mobile), ..Filter::default() });
    filters
}

/// All pages of a filter, put together; how many events each of them had.
pub(crate) async fn all_pages(store: &dyn Storage, filter: &Filter, limit: usize) -> (Vec<StoredEvent>, Vec<usize>) {
    let (mut events, mut pages, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let query = PageQuery::new(filter.clone(), limit, cursor.as_deref()).unwrap();
        let page = store.page(query).await.unwrap();
        pages.push(page.events.len());
        assert!(page.events.len() <= limit);
        events.extend(page.events);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return (events, pages);
        }
        assert!(pages.len() < 10_000, "the pages of {filter:?} never end");
    }
}

/// Pages through the stored rows by every filter while others are stored: each is there once, in order; within a
/// second by id, where the store does so.
pub(crate) async fn every_row_is_on_one_page_while_writing_goes_on(store: Arc<dyn Storage>, is_by_id: bool) {
    let rows = fill(store.as_ref(), 0..ROWS).await;
    let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = tokio::spawn({
        let (store, done, written) = (Arc::clone(&store), Arc::clone(&done), Arc::clone(&written));
        async move {
            while !done.load(Ordering::Relaxed) {
                let next = ROWS + written.load(Ordering::Relaxed);
                fill(store.as_ref(), next..next + 20).await;
                written.fetch_add(20, Ordering::Relaxed);
                // The reader has its turn, too.
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
    });
    for (number, filter) in filters().iter().enumerate() {
        let limit = [PAGE_EVENTS_MAX, 333][number % 2];
        let (events, _) = all_pages(store.as_ref(), filter, limit).await;
        let mut expected: Vec<_> = rows.iter().filter(|row| row.is_listed(filter)).collect();
        let place = |row: &&Made| std::cmp::Reverse((row.created_at_s, is_by_id.then_some(row.id)));
        expected.sort_by_key(place);
        let known: HashMap<Uuid, &Made> = rows.iter().map(|row| (row.id, row)).collect();
        let found: Vec<&Made> = events.iter().filter_map(|event| known.get(&event.id).copied()).collect();
        assert!(found.iter().map(place).eq(expected.iter().map(place)), "{filter:?}: another order");
        let both = [&found, &expected].map(|rows| rows.iter().map(|row| row.id).collect::<HashSet<_>>());
        assert_eq!(both[0], both[1], "{filter:?}");
        let ids: HashSet<Uuid> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), events.len(), "{filter:?}");
        for event in events.iter().filter(|event| !known.contains_key(&event.id)) {
            let (_, number) = event.id.as_u64_pair();
            assert!(Made::numbered(number).is_listed(filter), "{filter:?}: {event:?}");
        }
    }
    done.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    assert!(written.load(Ordering::Relaxed) > 0, "nothing was written meanwhile");
}

/// A page ends after so many rows, whether it has anything or not, and the next one goes on.
pub(crate) async fn a_page_that_found_nothing_ends_and_goes_on(store: &dyn Storage) {
    let rows = fill(store, 0..ROWS + 2500).await;
    let none = Filter { source: Some(Source::Mobile), ..Filter::default() };
    let (events, pages) = all_pages(store, &none, 10).await;
    assert_eq!((events.len(), pages.as_slice()), (0, [0, 0].as_slice()));
    let (events, pages) = all_pages(store, &Filter::default(), PAGE_EVENTS_MAX).await;
    assert_eq!(events.len(), rows.len());
    assert!(pages[..pages.len() - 1].iter().all(|events| *events == PAGE_EVENTS_MAX), "{pages:?}");
}
