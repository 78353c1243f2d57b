//! The pager against a table in memory, and cursors against everything that is none.

use std::collections::{BTreeMap, HashMap};

use proptest::{prelude::*, sample::Index as Pick};
use uuid::Uuid;

use super::{
    pager::{BOUNDS, Bounds, streams},
    *,
};

/// A row of the table in memory.
#[derive(Clone, Debug)]
struct MadeRow {
    /// The seconds of its time; rows of others may have none.
    second: Option<u8>,
    id: String,
    kind: EventType,
    source: Source,
    user_id: Option<&'static str>,
    data_bytes: usize,
}

impl MadeRow {
    fn created_at(&self) -> Option<String> {
        self.second.map(|second| format!("2026-01-15 10:30:{second:02}"))
    }

    /// Whether the filter lists it, as the documents say.
    fn is_wanted(&self, filter: &Filter) -> bool {
        let Some(second) = self.second.map(|second| BEGAN + i64::from(second)) else { return false };
        let is_event = Uuid::try_parse(&self.id).is_ok() && self.id == self.id.to_lowercase();
        is_event
            && filter.kind.is_none_or(|kind| kind == self.kind)
            && filter.source.is_none_or(|source| source == self.source)
            && filter.user_id.as_deref().is_none_or(|user_id| Some(user_id) == self.user_id)
            && filter.from_s.is_none_or(|from_s| second >= from_s)
            && filter.until_s.is_none_or(|until_s| second < until_s)
    }
}

/// 2026-01-15T10:30:00Z.
const BEGAN: i64 = 1_768_473_000;

const USERS: [Option<&str>; 4] = [None, Some("ada"), Some("Ada"), Some("ada ")];

/// The table in memory, read as a store would: its collation takes `Ada` and `ada ` for `ada`.
#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<String, MadeRow>,
    /// Whether the rows of a second are in the order of their ids; else in one that is the table's own.
    orders_by_id: bool,
    /// Every read: how many rows it had.
    read: Vec<usize>,
}

fn collated(text: &str) -> String {
    text.trim_end().to_lowercase()
}

impl Table {
    fn insert(&mut self, rows: &[MadeRow]) {
        self.rows.extend(rows.iter().map(|row| (row.id.clone(), row.clone())));
    }

    fn scan(&mut self, scan: &Scan) -> Vec<Key> {
        let orders_by_id = self.orders_by_id;
        // Its own order is that of the ids from their ends.
        let tie = |id: &str| (!orders_by_id).then(|| id.bytes().rev().collect::<Vec<u8>>());
        let mut keys: Vec<Key> = self.rows.values().filter_map(|row| key(row, tie(&row.id), scan)).collect();
        keys.sort_by(|one, other| {
            (&other.created_at, place_in_second(other)).cmp(&(&one.created_at, place_in_second(one)))
        });
        keys.truncate(scan.rows_max);
        self.read.push(keys.len());
        keys
    }

    fn page(&mut self, query: PageQuery, bounds: Bounds) -> Page {
        self.read.clear();
        let mut pager = Pager::within(query, bounds);
        while let Some(scan) = pager.next_scan() {
            let keys = self.scan(&scan);
            pager.scanned(scan, keys);
        }
        loop {
            let ids = pager.next_ids(2);
            if ids.is_empty() {
                return pager.page();
            }
            // In another order than they were asked for.
            pager.fetched(ids.iter().rev().map(|id| event(&self.rows[std::str::from_utf8(id).unwrap()])).collect());
        }
    }
}

/// The row as that read sees it, where it does.
fn key(row: &MadeRow, tie: Option<Vec<u8>>, scan: &Scan) -> Option<Key> {
    let created_at = row.created_at()?.into_bytes();
    let is_in_index = match scan.index {
        Index::Kind => row.kind.as_str() == scan.value,
        Index::User => row.user_id.is_some_and(|user_id| collated(user_id) == collated(&scan.value)),
    };
    let id = row.id.clone().into_bytes();
    let is_in_range = match &scan.begin {
        Begin::Newest => true,
        Begin::Before(moment) => created_at < *moment,
        Begin::NotAfter(moment) => created_at <= *moment,
        Begin::Behind(Place { created_at: moment, tie: last }) => {
            created_at == *moment && tie.as_ref().unwrap_or(&id) < last
        }
    };
    (is_in_index && is_in_range && created_at.as_slice() >= scan.from.as_bytes()).then(|| Key {
        created_at,
        id,
        tie,
        kind: (scan.is_wide || scan.index == Index::Kind).then(|| row.kind.as_str().to_owned()),
        source: scan.is_wide.then(|| row.source.as_str().to_owned()),
        user_id: row.user_id.filter(|_| scan.is_wide || scan.index == Index::User).map(ToOwned::to_owned),
    })
}

fn place_in_second(key: &Key) -> &Vec<u8> {
    key.tie.as_ref().unwrap_or(&key.id)
}

fn event(row: &MadeRow) -> StoredEvent {
    StoredEvent {
        id: Uuid::try_parse(&row.id).unwrap(),
        kind: row.kind.as_str().into(),
        source: row.source.as_str().into(),
        user_id: row.user_id.map(Into::into),
        processed_data: Some("x".repeat(row.data_bytes)),
        processing_time_ms: None,
        created_at_s: row.second.map(|second| BEGAN + i64::from(second)),
        processed_at_s: None,
    }
}

fn made_row() -> impl Strategy<Value = MadeRow> {
    let id = prop_oneof![
        8 => any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string()),
        1 => any::<u128>().prop_map(|id| Uuid::from_u128(id | 0xA).to_string().to_uppercase()),
        1 => "[a-z]{1,3}",
    ];
    let second = prop_oneof![12 => (0..4_u8).prop_map(Some), 1 => Just(None)];
    let kind = prop::sample::select(EventType::ALL.to_vec());
    let source = prop::sample::select(vec![Source::Web, Source::System]);
    let user_id = prop::sample::select(USERS.to_vec());
    let data_bytes = prop_oneof![8 => 0..20_usize, 1 => Just(3000)];
    (second, id, kind, source, user_id, data_bytes).prop_map(|(second, id, kind, source, user_id, data_bytes)| {
        MadeRow { second, id, kind, source, user_id, data_bytes }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let kind = prop::option::of(prop::sample::select(EventType::ALL.to_vec()));
    let user_id = prop::option::of(prop::sample::select(vec!["ada".to_owned(), "Ada".to_owned(), "eve".to_owned()]));
    let source = prop::option::of(prop::sample::select(vec![Source::Web, Source::Mobile]));
    let second = || prop::option::weighted(0.3, (-1..5_i64).prop_map(|second| BEGAN + second));
    (kind, user_id, source, second(), second()).prop_map(|(kind, user_id, source, from_s, until_s)| Filter {
        kind,
        user_id,
        source,
        from_s,
        until_s,
    })
}

fn bounds() -> impl Strategy<Value = Bounds> {
    // Enough for one read of each of three streams.
    (18..60_usize, 1..6_usize, 500..5000_usize).prop_map(|(rows_examined, rows_at_once, bytes)| Bounds {
        rows_examined,
        rows_at_once,
        bytes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn all_pages_together_are_the_filters_events_each_once(
        rows in prop::collection::vec(made_row(), 0..60),
        late in prop::collection::vec(made_row(), 0..20),
        late_at in prop::collection::vec(any::<Pick>(), 0..5),
        filter in filter(),
        limits in prop::collection::vec(1..6_usize, 1..4),
        bounds in bounds(),
    ) {
        let mut table = Table::default();
        table.insert(&rows);
        let expected: Vec<MadeRow> = table.rows.values().filter(|row| row.is_wanted(&filter)).cloned().collect();
        let mut late = late.into_iter().filter(|row| !rows.iter().any(|known| known.id == row.id));
        let mut seen: HashMap<Uuid, usize> = HashMap::new();
        let mut cursor: Option<String> = None;
        let mut newest = u8::MAX;
        for number in 0.. {
            prop_assert!(number < 200, "the pages never end");
            let limit = limits[number % limits.len()];
            let query = PageQuery::new(filter.clone(), limit, cursor.as_deref()).unwrap();
            let page = table.page(query, bounds);
            prop_assert!(page.events.len() <= limit);
            prop_assert!(table.read.iter().sum::<usize>() <= bounds.rows_examined, "{:?}", table.read);
            for event in &page.events {
                *seen.entry(event.id).or_default() += 1;
                let second = (event.created_at_s.unwrap() - BEGAN) as u8;
                prop_assert!(second <= newest, "{second} after {newest}");
                newest = second;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
            if late_at.iter().any(|at| at.index(8) == number) {
                table.insert(&late.by_ref().take(4).collect::<Vec<_>>());
            }
        }
        prop_assert!(seen.values().all(|times| *times == 1), "{seen:?}");
        for row in &expected {
            prop_assert!(seen.contains_key(&Uuid::try_parse(&row.id).unwrap()), "{row:?} is missing");
        }
        for id in seen.keys() {
            prop_assert!(table.rows[&id.to_string()].is_wanted(&filter));
        }
    }

    #[test]
    fn rows_that_stay_come_in_the_order_of_time_and_id(
        rows in prop::collection::vec(made_row(), 0..60),
        filter in filter(),
        limit in 1..6_usize,
    ) {
        let mut table = Table { orders_by_id: true, ..Table::default() };
        table.insert(&rows);
        let mut expected: Vec<_> =
            table.rows.values().filter(|row| row.is_wanted(&filter)).map(|row| (row.second, row.id.clone())).collect();
        expected.sort_by(|one, other| other.cmp(one));
        let (mut ids, mut cursor) = (Vec::new(), None);
        for number in 0.. {
            prop_assert!(number < 200, "the pages never end");
            let query = PageQuery::new(filter.clone(), limit, cursor.as_deref()).unwrap();
            let page = table.page(query, BOUNDS);
            prop_assert!(page.next_cursor.is_none() || page.events.len() == limit, "a page is short for no reason");
            ids.extend(page.events.iter().map(|event| event.id.to_string()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(ids, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written(filter in filter(), places in prop::collection::vec(place(), 3)) {
        let places = &places[..streams(&filter).count()];
        let cursor = cursor::encode(&filter, places);
        prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        let decoded = cursor::decode(&cursor, &filter);
        prop_assert_eq!(decoded.as_deref(), Ok(places));
    }

    #[test]
    fn a_cursor_that_was_changed_is_none(
        filter in filter(),
        places in prop::collection::vec(place(), 3),
        at in any::<Pick>(),
        to in "[A-Za-z0-9_-]",
    ) {
        let cursor = cursor::encode(&filter, &places[..streams(&filter).count()]);
        let at = at.index(cursor.len());
        let mut changed = cursor.clone();
        changed.replace_range(at..=at, &to);
        prop_assert!(changed == cursor || cursor::decode(&changed, &filter).is_err());
        prop_assert_eq!(cursor::decode(&cursor[..at], &filter), Err(BadCursor));
        prop_assert_eq!(cursor::decode(&format!("{cursor}AAAA"), &filter), Err(BadCursor));
    }

    #[test]
    fn no_text_is_more_than_a_wrong_cursor(text in ".{0,200}", filter in filter()) {
        prop_assert_eq!(PageQuery::new(filter, 1, Some(&text)), Err(BadCursor));
    }
}

fn place() -> impl Strategy<Value = Option<Begin>> {
    let text = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(None),
        Just(Some(Begin::Newest)),
        text().prop_map(|text| Some(Begin::Before(text))),
        text().prop_map(|text| Some(Begin::NotAfter(text))),
        (text(), text()).prop_map(|(created_at, tie)| Some(Begin::Behind(Place { created_at, tie }))),
    ]
}

fn numbered(range: std::ops::Range<u8>) -> Vec<MadeRow> {
    range
        .map(|n| MadeRow {
            second: Some(n),
            id: Uuid::from_u128(n.into()).to_string(),
            kind: EventType::ALL[usize::from(n) % 3],
            source: Source::Web,
            user_id: None,
            data_bytes: 0,
        })
        .collect()
}

#[test]
fn newer_rows_of_a_type_that_a_page_had_none_of_are_on_no_later_page() {
    let bounds = Bounds { rows_examined: 100, rows_at_once: 10, bytes: 1 << 20 };
    let mut table = Table::default();
    table.insert(&numbered(0..30));
    let first = table.page(PageQuery::new(Filter::default(), 2, None).unwrap(), bounds);
    table.insert(&numbered(30..50));
    let second = PageQuery::new(Filter::default(), 2, first.next_cursor.as_deref()).unwrap();
    let ids: Vec<_> = table.page(second, bounds).events.iter().map(|event| event.id.as_u128()).collect();
    assert_eq!(ids, [27, 26]);
}

#[test]
fn a_page_without_a_filter_reads_little_more_than_it_has() {
    let mut table = Table::default();
    table.insert(&numbered(0..60));
    let bounds = Bounds { rows_examined: 100, rows_at_once: 100, bytes: 1 << 20 };
    let page = table.page(PageQuery::new(Filter::default(), 30, None).unwrap(), bounds);
    assert_eq!(page.events.len(), 30);
    assert!(table.read.iter().sum::<usize>() <= 40, "{:?}", table.read);
}

#[test]
fn a_range_that_holds_nothing_is_an_empty_page_without_a_read() {
    let mut table = Table::default();
    table.insert(&numbered(0..9));
    let bounds = Bounds { rows_examined: 100, rows_at_once: 100, bytes: 1 << 20 };
    for (from_s, until_s) in [(Some(BEGAN + 5), Some(BEGAN + 5)), (None, Some(0)), (Some(i64::MAX), None)] {
        let filter = Filter { from_s, until_s, ..Filter::default() };
        let page = table.page(PageQuery::new(filter, 9, None).unwrap(), bounds);
        assert_eq!((page, table.read.len()), (Page::default(), 0));
    }
}

#[test]
fn limits_are_held_within_their_bounds() {
    let query = |limit| PageQuery::new(Filter::default(), limit, None).unwrap().limit;
    assert_eq!((query(0), query(7), query(usize::MAX)), (1, 7, PAGE_EVENTS_MAX));
}

#[test]
fn a_cursor_of_another_filter_is_none() {
    let none = Filter::default;
    let user = |user_id: &str| Filter { user_id: Some(user_id.to_owned()), ..none() };
    let filters = [
        none(),
        Filter { kind: Some(EventType::SensorData), ..none() },
        Filter { kind: Some(EventType::SystemLog), ..none() },
        Filter { source: Some(Source::Web), ..none() },
        Filter { source: Some(Source::Mobile), ..none() },
        user("web"),
        user("sensor_data"),
        user("Web"),
        Filter { from_s: Some(7), ..none() },
        Filter { from_s: Some(8), ..none() },
        Filter { until_s: Some(7), ..none() },
        Filter { until_s: Some(8), ..none() },
    ];
    // The places would fit all of them.
    for (number, one) in filters.iter().enumerate() {
        for (other_number, other) in filters.iter().enumerate() {
            let begins: Vec<_> = streams(other).map(|_| Some(Begin::Newest)).collect();
            let decoded = cursor::decode(&cursor::encode(one, &begins), other);
            assert_eq!(decoded.is_ok(), number == other_number, "{one:?}, {other:?}");
        }
    }
}
