//! Pages of stored events, newest first: what is asked for, and how a page is put together.
//!
//! The order is that of `created_at`, and within one second that of the id, both descending. A page is read in
//! two steps, so that a row that is on no page costs little: first come keys, in the order of an index, then the
//! events of those keys that belong to the page. The `Pager` says what it wants next; a store only reads.
//!
//! What holds: an event that was stored when the first page was read, and stays, is on exactly one of the pages.
//! No page examines more than [`ROWS_EXAMINED_MAX`] rows; one that ends for that reason may be short or empty,
//! and has a cursor all the same.

use crate::event::{EventType, Source};

use super::StoredEvent;

mod cursor;
mod pager;
#[cfg(test)]
mod tests;

pub use self::cursor::BadCursor;
pub(super) use self::pager::{Begin, Index, Key, Pager, Place, Scan};

/// Most events of a page.
pub const PAGE_EVENTS_MAX: usize = 1000;

/// Most rows that are examined for a page.
pub const ROWS_EXAMINED_MAX: usize = 10_000;

/// So many bytes of events fill a page before its number of events does. An event that has more is a page of its
/// own.
pub const PAGE_BYTES_MAX: usize = 4 << 20;

/// Which events are listed: those for which all holds that is given. Text is compared exactly, whatever the
/// table's collation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Events of this type.
    pub kind: Option<EventType>,
    /// Events of this user.
    pub user_id: Option<String>,
    /// Events from this source.
    pub source: Option<Source>,
    /// Events of this second since the epoch and later ones, by `created_at`.
    pub from_s: Option<i64>,
    /// Events before this second since the epoch, by `created_at`.
    pub until_s: Option<i64>,
}

/// A request for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    filter: Filter,
    limit: usize,
    /// Where each of the page's streams begins: `None` for the first page.
    begins: Option<Vec<Option<Begin>>>,
}

impl PageQuery {
    /// The page of at most `limit` events (from 1 to [`PAGE_EVENTS_MAX`]) that `cursor` leads to, or the first one.
    ///
    /// # Errors
    /// [`BadCursor`] where the cursor is none, or one of another filter.
    pub fn new(filter: Filter, limit: usize, cursor: Option<&str>) -> Result<Self, BadCursor> {
        let begins = cursor.map(|cursor| cursor::decode(cursor, &filter)).transpose()?;
        Ok(Self { filter, limit: limit.clamp(1, PAGE_EVENTS_MAX), begins })
    }
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its events, newest first.
    pub events: Vec<StoredEvent>,
    /// Leads to the next page of the same filter, whatever its limit; `None` where there is none.
    pub next_cursor: Option<String>,
}
