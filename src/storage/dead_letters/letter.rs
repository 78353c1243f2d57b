//! A dead letter and the mark that ends one, each a line of JSON. Field names are part of the
//! public interface: more may be added, none is renamed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::form;
use crate::{
    event::{Event, EventType, Micros, Receipt, Source},
    storage::Row,
};

/// An accepted event that the processor or the store refused for good, and all that is needed to
/// see why and to store it after all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The event's id.
    pub id: Uuid,
    /// Which acceptance of the event this is; the letter's own key.
    #[serde(with = "form::receipt")]
    pub receipt: Receipt,
    /// Who refused it.
    pub reason: Reason,
    /// The store's own error number or name; `processing_failed` where the processor refused.
    pub code: String,
    /// Why, in the words of who refused it.
    pub detail: String,
    /// How often it was tried and refused.
    pub attempts: u32,
    /// When it was refused last.
    #[serde(with = "form::time")]
    pub failed_at: Micros,
    /// When the service received the event.
    #[serde(with = "form::time", rename = "received_at")]
    pub received: Micros,
    /// The event's own time.
    #[serde(with = "form::time", rename = "occurred_at")]
    pub occurred: Micros,
    /// What the client sent.
    pub event: SentEvent,
    /// What was to be stored; `None` where the processor made nothing of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<RefusedRow>,
}

/// Who refused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DeadReason")]
pub enum Reason {
    /// The processor: there is no row.
    ProcessingFailed,
    /// The store: it refused the row, alone.
    StoreRefused,
}

impl Reason {
    /// The name in the file, in metrics and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProcessingFailed => "processing_failed",
            Self::StoreRefused => "store_refused",
        }
    }
}

/// The event as its client sent it, but for the id, which stands in the letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentEvent {
    /// Its `type`.
    #[serde(with = "form::kind", rename = "type")]
    pub kind: EventType,
    /// Its `source`.
    #[serde(with = "form::source")]
    pub source: Source,
    /// Its `user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Its `timestamp`, letter for letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Its `data`: JSON text. Line breaks between its tokens are read back as spaces.
    #[serde(with = "form::json")]
    pub data: String,
}

/// The columns that are not the event's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// The column of that name: the processor's text, JSON unless the processor erred. Line breaks
    /// between its tokens are read back as spaces.
    #[serde(with = "form::json")]
    pub processed_data: String,
    /// The column of that name.
    pub processing_time_ms: i32,
    /// The column of that name, in whole seconds.
    #[serde(with = "form::time", rename = "processed_at")]
    pub processed: Micros,
}

impl DeadLetter {
    /// The letter of an event that was refused `now`, for the first time, before it had a row.
    pub fn new(event: &Event<'_>, reason: Reason, code: &str, detail: &str, now: Micros) -> Self {
        Self {
            id: event.id,
            receipt: event.receipt,
            reason,
            code: code.to_owned(),
            detail: detail.to_owned(),
            attempts: 1,
            failed_at: now,
            received: event.received,
            occurred: event.occurred,
            event: SentEvent {
                kind: event.kind,
                source: event.source,
                user_id: event.user_id.map(str::to_owned),
                timestamp: event.timestamp.map(str::to_owned),
                data: event.data.to_owned(),
            },
            row: None,
        }
    }

    /// The same letter with the row that the store refused.
    #[must_use]
    pub fn with_row(self, row: &Row<'_>) -> Self {
        let row = RefusedRow {
            processed_data: row.processed_data.to_owned(),
            processing_time_ms: row.processing_time_ms,
            processed: Micros(row.processed_at_s.saturating_mul(1_000_000)),
        };
        Self { row: Some(row), ..self }
    }

    /// The event as a client can send it once more: with its id, so that it counts once, and
    /// with its time, so that it keeps it.
    pub fn to_post(&self) -> impl Serialize {
        EventToPost {
            id: self.id,
            kind: self.event.kind,
            source: self.event.source,
            user_id: self.event.user_id.as_deref(),
            timestamp: self.event.timestamp.clone().unwrap_or_else(|| self.occurred.to_string()),
            data: &self.event.data,
        }
    }

    /// The row that the store refused, `None` where there never was one.
    pub fn row(&self) -> Option<Row<'_>> {
        let row = self.row.as_ref()?;
        Some(Row {
            id: self.id,
            kind: self.event.kind,
            source: self.event.source,
            user_id: self.event.user_id.as_deref(),
            processed_data: &row.processed_data,
            processing_time_ms: row.processing_time_ms,
            created_at_s: self.occurred.seconds(),
            processed_at_s: row.processed.seconds(),
            receipt: self.receipt,
        })
    }
}

/// See [`DeadLetter::to_post`].
#[derive(Serialize)]
struct EventToPost<'a> {
    id: Uuid,
    #[serde(serialize_with = "form::kind::serialize", rename = "type")]
    kind: EventType,
    #[serde(serialize_with = "form::source::serialize")]
    source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    timestamp: String,
    #[serde(serialize_with = "form::json::serialize")]
    data: &'a str,
}

/// What ended a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The store has the event now.
    Retried,
    /// An operator gave it up.
    Discarded,
}

impl Resolution {
    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Discarded => "discarded",
        }
    }
}

/// Ends the letters of one receipt that stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Whose letters.
    #[serde(with = "form::receipt", rename = "resolved")]
    pub receipt: Receipt,
    /// What ended them.
    pub how: Resolution,
    /// When.
    #[serde(with = "form::time")]
    pub at: Micros,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Letter(Box<DeadLetter>),
    Mark(Mark),
    /// Nothing: it stands between a torn line and the next one.
    Empty,
    /// It is damaged, or of a version that is not known here.
    Unreadable,
}

impl Line {
    /// Reads a line without its end.
    pub(super) fn read(bytes: &[u8]) -> Self {
        if bytes.trim_ascii().is_empty() {
            return Self::Empty;
        }
        if let Ok(letter) = serde_json::from_slice(bytes) {
            return Self::Letter(letter);
        }
        serde_json::from_slice(bytes).map_or(Self::Unreadable, Self::Mark)
    }
}
