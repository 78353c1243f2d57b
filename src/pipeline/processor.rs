//! The seam for what is made of an event before it is stored, or whether it is, and the built-in processor.

use std::fmt::Write as _;

use serde::Serialize;
use thiserror::Error;

use crate::event::{Event, Micros, TimeBuffer};

/// Makes `processed_data` of an event, filters it out, or fails it.
///
/// Called by the shard's flusher, long after the client was answered: it must not block, and a panic in
/// it ends the process. An event may come twice, after a crash or from a client that retried, so what is
/// made should depend on the event alone.
///
/// ```
/// use event_pipeline::{
///     event::{Event, EventType},
///     pipeline::{Fields, ProcessingError, Processor, Verdict},
/// };
///
/// /// Stores what users did, without the rest of what came with it.
/// struct ActionsOnly;
///
/// impl Processor for ActionsOnly {
///     fn process(&self, event: &Event<'_>, fields: &mut Fields<'_>) -> Result<Verdict, ProcessingError> {
///         if event.kind != EventType::UserAction {
///             return Ok(Verdict::FilterOut);
///         }
///         let data: serde_json::Value = serde_json::from_str(event.data)
///             .map_err(|error| ProcessingError { reason: format!("data cannot be read: {error}") })?;
///         let Some(action) = data["action"].as_str() else {
///             return Err(ProcessingError { reason: "data has no action".to_owned() });
///         };
///         fields.value("action", &action)?;
///         fields.time("received_at", event.received);
///         Ok(Verdict::Store)
///     }
/// }
/// ```
pub trait Processor: Send + Sync + 'static {
    /// Writes the members of the event's `processed_data`, each name once. The pipeline adds `receipt`
    /// itself.
    ///
    /// # Errors
    /// [`ProcessingError`]: this event alone fails, and becomes a dead letter. What was written for it is
    /// dropped.
    fn process(&self, event: &Event<'_>, fields: &mut Fields<'_>) -> Result<Verdict, ProcessingError>;
}

/// What is to become of an event that a [`Processor`] has no fault to find with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored with what was written.
    Store,
    /// It is not stored, and what was written is dropped. It counts as processed, and as filtered; whoever
    /// waits for it at `stored` is answered as if it were.
    FilterOut,
}

/// Why a [`Processor`] could not make anything of an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct ProcessingError {
    /// A sentence for the log and for a client that waits at `stored`.
    pub reason: String,
}

/// The members of a JSON object, written one after another.
#[derive(Debug)]
pub struct Fields<'a> {
    text: &'a mut String,
    first: bool,
}

impl<'a> Fields<'a> {
    /// Begins an object at the end of `text`.
    pub(super) fn begin(text: &'a mut String) -> Self {
        text.push('{');
        Self { text, first: true }
    }

    pub(super) fn end(self) {
        self.text.push('}');
    }

    // These are inlined: a name is a constant where it is written, and is copied as one then.

    /// A member whose value is `json`, which must be one valid JSON value.
    #[inline]
    pub fn raw(&mut self, name: &'static str, json: &str) {
        self.name(name);
        self.text.push_str(json);
    }

    /// A member whose value is a whole number.
    #[inline]
    pub fn number(&mut self, name: &'static str, value: i64) {
        self.name(name);
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    /// A member whose value is a text that needs no escaping in JSON: ids, names of constants. Any other
    /// text is for [`Fields::value`].
    #[inline]
    pub fn plain(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.text.push('"');
        self.text.push_str(value);
        self.text.push('"');
    }

    /// A member whose value is a time, in RFC 3339 with microseconds.
    #[inline]
    pub fn time(&mut self, name: &'static str, value: Micros) {
        match value.encode(&mut TimeBuffer::default()) {
            Some(text) => self.plain(name, text),
            None => {
                self.name(name);
                // Writing to a String cannot fail.
                let _ = write!(self.text, "\"{value}\"");
            }
        }
    }

    /// A member with any value that serde can write.
    ///
    /// # Errors
    /// [`ProcessingError`] where the value has no form in JSON.
    pub fn value(&mut self, name: &'static str, value: &impl Serialize) -> Result<(), ProcessingError> {
        let json = serde_json::to_string(value)
            .map_err(|error| ProcessingError { reason: format!("`{name}` cannot be written as JSON: {error}") })?;
        self.raw(name, &json);
        Ok(())
    }

    #[inline]
    fn name(&mut self, name: &'static str) {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }
}

/// The built-in [`Processor`]: the client's `data`, its `timestamp` in full precision, when the
/// event was received, and how long it had been on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardProcessor;

impl Processor for StandardProcessor {
    fn process(&self, event: &Event<'_>, fields: &mut Fields<'_>) -> Result<Verdict, ProcessingError> {
        fields.raw("data", event.data);
        match event.timestamp {
            Some(timestamp) => fields.plain("timestamp", timestamp),
            None => fields.time("timestamp", event.received),
        }
        fields.time("received_at", event.received);
        fields.number("lag_ms", (event.received.0 - event.occurred.0) / 1000);
        Ok(Verdict::Store)
    }
}
