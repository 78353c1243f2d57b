//! An event as a record: encoded once on its ingest thread, and the same bytes queued, read
//! back and bound.
//!
//! All numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of all that follows |
//! | 16 | id |
//! | 16 | receipt |
//! | 8 | occurred, µs since the epoch |
//! | 8 | received, µs since the epoch |
//! | 1 | type |
//! | 1 | source |
//! | 1 | length of `timestamp`, 0 where there was none |
//! | 1 | length of `user_id`, 0 where there was none |
//! | … | `timestamp`, `user_id`, `data` |

use thiserror::Error;
use uuid::Uuid;

use super::{Event, EventType, Micros, Receipt, Source};

const LENGTH: usize = 4;
const HEAD: usize = LENGTH + 16 + 16 + 8 + 8 + 4;

/// Bytes that [`encode`] appends for this event.
pub fn encoded_len(event: &Event<'_>) -> usize {
    HEAD + event.timestamp.map_or(0, str::len) + event.user_id.map_or(0, str::len) + event.data.len()
}

/// Appends the event's record to `out`.
///
/// # Panics
/// Never for an event that the parser made: its texts are shorter than their length fields hold.
pub fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
    let timestamp = event.timestamp.unwrap_or_default();
    let user_id = event.user_id.unwrap_or_default();
    let length = encoded_len(event) - LENGTH;
    let short = |text: &str| u8::try_from(text.len()).expect("the parser bounds timestamp and user_id");
    let mut head = [0_u8; HEAD];
    head[0..4].copy_from_slice(&u32::try_from(length).expect("the parser bounds data").to_le_bytes());
    head[4..20].copy_from_slice(event.id.as_bytes());
    head[20..36].copy_from_slice(&event.receipt.0.to_le_bytes());
    head[36..44].copy_from_slice(&event.occurred.0.to_le_bytes());
    head[44..52].copy_from_slice(&event.received.0.to_le_bytes());
    head[52] = event.kind as u8;
    head[53] = event.source as u8;
    head[54] = short(timestamp);
    head[55] = short(user_id);
    out.reserve(length + LENGTH);
    out.extend_from_slice(&head);
    out.extend_from_slice(timestamp.as_bytes());
    out.extend_from_slice(user_id.as_bytes());
    out.extend_from_slice(event.data.as_bytes());
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end before the record does.
    #[error("the record is cut short")]
    Short,
    /// A type or source that this version does not know.
    #[error("the record's type or source is unknown")]
    Unknown,
    /// A text that is not UTF-8.
    #[error("the record's text is not UTF-8")]
    Text,
}

/// Reads the first record of `bytes`; returns the event and the record's length.
///
/// # Errors
/// [`DecodeError`] where `bytes` do not begin with a whole record.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Event<'_>, usize), DecodeError> {
    let head: &[u8; HEAD] = bytes.first_chunk().ok_or(DecodeError::Short)?;
    let length = LENGTH + u32::from_le_bytes(chunk(head, 0)) as usize;
    let texts = bytes.get(HEAD..length).ok_or(DecodeError::Short)?;
    let kind = *EventType::ALL.get(usize::from(head[52])).ok_or(DecodeError::Unknown)?;
    let source = *Source::ALL.get(usize::from(head[53])).ok_or(DecodeError::Unknown)?;
    // One look at all three: a cut within a character is none of ours.
    let texts = simdutf8::basic::from_utf8(texts).map_err(|_| DecodeError::Text)?;
    let (timestamp, texts) = cut(texts, head[54])?;
    let (user_id, data) = cut(texts, head[55])?;
    let event = Event {
        id: Uuid::from_bytes(chunk(head, 4)),
        receipt: Receipt(u128::from_le_bytes(chunk(head, 20))),
        occurred: Micros(i64::from_le_bytes(chunk(head, 36))),
        received: Micros(i64::from_le_bytes(chunk(head, 44))),
        kind,
        source,
        timestamp: (!timestamp.is_empty()).then_some(timestamp),
        user_id: (!user_id.is_empty()).then_some(user_id),
        data,
    };
    Ok((event, length))
}

/// Id and length of the first record of `bytes`, without a look at the rest of it; `None` where it is
/// not whole.
pub(crate) fn skim(bytes: &[u8]) -> Option<(Uuid, usize)> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    let length = LENGTH + u32::from_le_bytes(chunk(head, 0)) as usize;
    (HEAD..=bytes.len()).contains(&length).then(|| (Uuid::from_bytes(chunk(head, 4)), length))
}

/// The first `length` bytes of `text`, and the rest.
fn cut(text: &str, length: u8) -> Result<(&str, &str), DecodeError> {
    let short = if usize::from(length) > text.len() { DecodeError::Short } else { DecodeError::Text };
    text.split_at_checked(usize::from(length)).ok_or(short)
}

fn chunk<const N: usize>(head: &[u8; HEAD], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

/// The events of a run of records, in order.
#[derive(Clone, Debug)]
pub struct RecordReader<'a> {
    rest: &'a [u8],
}

impl<'a> RecordReader<'a> {
    /// Reads `records`, which [`encode`] wrote one after another.
    pub fn new(records: &'a [u8]) -> Self {
        Self { rest: records }
    }
}

impl<'a> Iterator for RecordReader<'a> {
    type Item = Result<(Event<'a>, usize), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = decode(self.rest);
        self.rest = match &item {
            Ok((_, length)) => &self.rest[*length..],
            Err(_) => &[],
        };
        Some(item)
    }
}
