//! Putting a page together: which keys are read next, which of them are on the page, and where the next one begins.
//!
//! Nothing here reads or waits. A filter by user or by type is one stream of keys; with neither there is a stream
//! for each type, and they are merged. The cursor has a place in every stream, so that pages are exact however a
//! store orders the ids within a second: the merging decides about the order alone.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Filter, PAGE_BYTES_MAX, Page, PageQuery, ROWS_EXAMINED_MAX, cursor};
use crate::{
    event::{Civil, EventType, SECONDS_MAX, SECONDS_MIN},
    storage::StoredEvent,
};

/// Most streams of a page.
const STREAMS_MAX: usize = EventType::ALL.len();
/// What an event counts for beside its texts, in bytes.
const EVENT_BYTES: usize = 256;

/// An index of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Index {
    /// By type and time.
    Kind,
    /// By user and time.
    User,
}

impl Index {
    /// Its name.
    pub(in crate::storage) fn name(self) -> &'static str {
        match self {
            Self::Kind => "idx_type_created",
            Self::User => "idx_user_created",
        }
    }

    /// Its first column.
    pub(in crate::storage) fn column(self) -> &'static str {
        match self {
            Self::Kind => "type",
            Self::User => "user_id",
        }
    }
}

/// A row's place in its stream, as its store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Place {
    /// The text of `created_at`.
    pub(in crate::storage) created_at: Vec<u8>,
    /// What orders the rows of one moment: mostly the id.
    pub(in crate::storage) tie: Vec<u8>,
}

/// Where the next keys of a stream begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Begin {
    /// With the newest.
    Newest,
    /// With the newest before this moment.
    Before(Vec<u8>),
    /// With the newest that is not after this moment.
    NotAfter(Vec<u8>),
    /// Behind this place, and still of its moment.
    Behind(Place),
}

/// A read that the pager asks for: the first rows of a stream from a place on, newest first.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Scan {
    stream: usize,
    /// The index that has them.
    pub(in crate::storage) index: Index,
    /// What its first column holds.
    pub(in crate::storage) value: String,
    /// Where they begin.
    pub(in crate::storage) begin: Begin,
    /// The text of the first moment that counts.
    pub(in crate::storage) from: String,
    /// Whether type, source and user are needed of each; else just the index's own column.
    pub(in crate::storage) is_wide: bool,
    /// How many, at most.
    pub(in crate::storage) rows_max: usize,
}

/// What is read of a row to see whether it is on the page. The texts are there as far as they were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Key {
    pub(in crate::storage) created_at: Vec<u8>,
    pub(in crate::storage) id: Vec<u8>,
    /// What orders the rows of one moment, where that is not the id.
    pub(in crate::storage) tie: Option<Vec<u8>>,
    pub(in crate::storage) kind: Option<String>,
    pub(in crate::storage) source: Option<String>,
    pub(in crate::storage) user_id: Option<String>,
}

impl Key {
    fn place(&self) -> Place {
        Place { created_at: self.created_at.clone(), tie: self.tie.as_ref().unwrap_or(&self.id).clone() }
    }

    fn order(&self) -> (&[u8], &[u8]) {
        (&self.created_at, &self.id)
    }

    /// The id, where it is one by which an event can be asked for. A row that others wrote may have any text.
    fn uuid(&self) -> Option<Uuid> {
        let uuid = Uuid::try_parse_ascii(&self.id).ok()?;
        let is_canonical = uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes() == self.id;
        is_canonical.then_some(uuid)
    }
}

/// What bounds a page beside its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Rows that are examined, at most: enough for one read of every stream.
    pub(super) rows_examined: usize,
    /// Rows of one read, at least, where most may be on no page.
    pub(super) rows_at_once: usize,
    /// Bytes of events, beyond the first one.
    pub(super) bytes: usize,
}

pub(super) const BOUNDS: Bounds =
    Bounds { rows_examined: ROWS_EXAMINED_MAX, rows_at_once: 1000, bytes: PAGE_BYTES_MAX };

/// Keys of one range of one index.
#[derive(Debug)]
struct Stream {
    index: Index,
    value: String,
    /// Where this page begins; `None` where the pages before had all of it.
    begin: Option<Begin>,
    /// Where the next read begins; `None` where nothing is left.
    next: Option<Begin>,
    keys: Vec<Key>,
    /// How many of the keys the page is past.
    passed: usize,
}

impl Stream {
    /// The key that the page comes to next, where it was read.
    fn head(&self) -> Option<&Key> {
        self.keys.get(self.passed)
    }
}

/// A key that is on the page.
#[derive(Debug)]
struct Hit {
    id: Uuid,
    stream: usize,
    /// How many keys of each stream the page is past with this one.
    passed: [usize; STREAMS_MAX],
}

/// One page in the making.
#[derive(Debug)]
pub(in crate::storage) struct Pager {
    filter: Filter,
    limit: usize,
    bounds: Bounds,
    from: String,
    streams: Vec<Stream>,
    examined: usize,
    hits: Vec<Hit>,
    /// The stream whose key the page passed last.
    last: Option<usize>,
    /// How many hits were asked for, and for how many of them there was an answer.
    asked: usize,
    answered: usize,
    is_full: bool,
    bytes: usize,
    events: Vec<StoredEvent>,
}

/// What the streams of a filter have in their index's first column.
pub(super) fn streams(filter: &Filter) -> impl Iterator<Item = (Index, &str)> {
    let user = filter.user_id.as_deref().map(|user_id| (Index::User, user_id));
    let is_of_kind = |kind: &EventType| filter.kind.is_none_or(|wanted| wanted == *kind);
    let kinds = EventType::ALL.into_iter().filter(is_of_kind).map(|kind| (Index::Kind, kind.as_str()));
    let kinds = kinds.filter(move |_| user.is_none());
    user.into_iter().chain(kinds)
}

impl Pager {
    /// Begins a page.
    pub(in crate::storage) fn new(query: PageQuery) -> Self {
        Self::within(query, BOUNDS)
    }

    pub(super) fn within(query: PageQuery, bounds: Bounds) -> Self {
        let PageQuery { filter, limit, begins } = query;
        // The table holds no other times, and comparing with one would be an error on some servers.
        let from_s = filter.from_s.unwrap_or(SECONDS_MIN).max(SECONDS_MIN);
        let until_s = filter.until_s.filter(|until_s| *until_s <= SECONDS_MAX);
        let is_empty = from_s > SECONDS_MAX || until_s.is_some_and(|until_s| until_s <= from_s);
        let first = until_s.map_or(Begin::Newest, |until_s| Begin::Before(sql_time(until_s).into_bytes()));
        let begin = |stream: usize| match &begins {
            _ if is_empty => None,
            Some(begins) => begins.get(stream).cloned().flatten(),
            None => Some(first.clone()),
        };
        let stream = |(number, (index, value)): (usize, (Index, &str))| {
            let begin = begin(number);
            Stream { index, value: value.to_owned(), next: begin.clone(), begin, keys: Vec::new(), passed: 0 }
        };
        Self {
            streams: streams(&filter).enumerate().map(stream).collect(),
            from: sql_time(from_s),
            filter,
            limit,
            bounds,
            examined: 0,
            hits: Vec::new(),
            last: None,
            asked: 0,
            answered: 0,
            is_full: false,
            bytes: 0,
            events: Vec::new(),
        }
    }

    /// The next keys to read, for [`Pager::scanned`]; `None` where the page has all that it needs.
    pub(in crate::storage) fn next_scan(&mut self) -> Option<Scan> {
        while self.hits.len() < self.limit {
            let is_unread = |stream: &Stream| stream.head().is_none() && stream.next.is_some();
            if let Some(stream) = self.streams.iter().position(is_unread) {
                return self.scan(stream);
            }
            let heads = self.streams.iter().enumerate().filter_map(|(stream, keys)| Some((keys.head()?, stream)));
            let (_, newest) = heads.max_by(|(one, _), (other, _)| one.order().cmp(&other.order()))?;
            self.pass(newest);
        }
        None
    }

    fn scan(&self, number: usize) -> Option<Scan> {
        let stream = &self.streams[number];
        // One more than is wanted shows whether anything is left.
        let wanted = self.limit - self.hits.len() + 1;
        let rows = if self.drops_rows() {
            wanted.max(self.bounds.rows_at_once)
        } else if self.streams.len() > 1 && stream.keys.is_empty() {
            wanted / self.streams.len() + 1
        } else {
            wanted
        };
        let rows_max = rows.min(self.bounds.rows_examined.saturating_sub(self.examined));
        let begin = stream.next.clone().filter(|_| rows_max > 0)?;
        let (index, value, from) = (stream.index, stream.value.clone(), self.from.clone());
        Some(Scan { stream: number, index, value, begin, from, is_wide: self.drops_rows(), rows_max })
    }

    /// Whether the filter wants more than an index can answer.
    fn drops_rows(&self) -> bool {
        self.filter.source.is_some() || (self.filter.user_id.is_some() && self.filter.kind.is_some())
    }

    /// Takes in what was read.
    pub(in crate::storage) fn scanned(&mut self, scan: Scan, keys: Vec<Key>) {
        self.examined += keys.len();
        let stream = &mut self.streams[scan.stream];
        stream.next = match (keys.last(), scan.begin) {
            (Some(last), _) if keys.len() >= scan.rows_max => Some(Begin::Behind(last.place())),
            (_, Begin::Behind(place)) => Some(Begin::Before(place.created_at)),
            _ => None,
        };
        stream.keys.extend(keys);
    }

    /// Goes past the stream's next key, which is on the page or not.
    fn pass(&mut self, number: usize) {
        self.last = Some(number);
        let stream = &mut self.streams[number];
        stream.passed += 1;
        let key = &stream.keys[stream.passed - 1];
        let Filter { kind, user_id, source, .. } = &self.filter;
        let is_wanted = kind.is_none_or(|kind| key.kind.as_deref() == Some(kind.as_str()))
            && source.is_none_or(|source| key.source.as_deref() == Some(source.as_str()))
            && (user_id.is_none() || key.user_id == *user_id);
        if let Some(id) = key.uuid().filter(|_| is_wanted) {
            self.hits.push(Hit { id, stream: number, passed: self.passed() });
        }
    }

    fn passed(&self) -> [usize; STREAMS_MAX] {
        std::array::from_fn(|stream| self.streams.get(stream).map_or(0, |stream| stream.passed))
    }

    /// The ids of the next events to fetch, `count` at most, for [`Pager::fetched`]; none where the page is done.
    pub(in crate::storage) fn next_ids(&mut self, count: usize) -> Vec<Vec<u8>> {
        if self.is_full {
            return Vec::new();
        }
        let hits = self.hits[self.asked..].iter().take(count);
        let ids: Vec<_> =
            hits.map(|hit| self.streams[hit.stream].keys[hit.passed[hit.stream] - 1].id.clone()).collect();
        self.asked += ids.len();
        ids
    }

    /// Takes in what was fetched, in any order. An event that is not among it was deleted meanwhile.
    pub(in crate::storage) fn fetched(&mut self, events: Vec<StoredEvent>) {
        let mut by_id: HashMap<Uuid, StoredEvent> = events.into_iter().map(|event| (event.id, event)).collect();
        while self.answered < self.asked {
            if let Some(event) = by_id.remove(&self.hits[self.answered].id) {
                self.bytes += bytes(&event);
                if self.bytes > self.bounds.bytes && !self.events.is_empty() {
                    self.is_full = true;
                    return;
                }
                self.events.push(event);
            }
            self.answered += 1;
        }
    }

    /// The page.
    pub(in crate::storage) fn page(self) -> Page {
        // A page that is full of bytes ends with the last hit that it has.
        let cut = self.hits[..self.answered].last().filter(|_| self.is_full);
        let (passed, last) = cut.map_or((self.passed(), self.last), |hit| (hit.passed, Some(hit.stream)));
        let last = last.map(|stream| &self.streams[stream].keys[passed[stream] - 1]);
        let begin = |(stream, passed): (&Stream, usize)| {
            if passed == stream.keys.len() && stream.next.is_none() {
                return None;
            }
            let key = stream.keys[..passed].last();
            let begin = key.map(|key| Begin::Behind(key.place())).or_else(|| stream.begin.clone());
            match (&begin, last) {
                (_, None) => begin,
                (Some(Begin::Behind(place)), Some(last)) if place.created_at <= last.created_at => begin,
                // Rows that come meanwhile do not belong on a page behind this one where they are newer than it.
                (_, Some(last)) => Some(Begin::NotAfter(last.created_at.clone())),
            }
        };
        let begins: Vec<_> = self.streams.iter().zip(passed).map(begin).collect();
        let is_over = begins.iter().all(Option::is_none);
        let next_cursor = (!is_over).then(|| cursor::encode(&self.filter, &begins));
        Page { events: self.events, next_cursor }
    }
}

fn bytes(event: &StoredEvent) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    EVENT_BYTES + event.kind.len() + event.source.len() + text(&event.user_id) + text(&event.processed_data)
}

/// A second as the stores write it.
fn sql_time(seconds: i64) -> String {
    Civil::from_seconds(seconds).to_string()
}
