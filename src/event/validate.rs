//! The seam for rules of one's own, beyond those of the contract.
//!
//! The contract's rules always hold, for the stores depend on them; a [`Validator`] adds to
//! them and is asked last, about events that are good by the contract.

use super::{Code, Event};

/// Judges events by rules of the user's own. Called on the ingest threads, once for each event that is
/// good by the contract: it must not block, and a panic in it costs the request.
///
/// ```
/// use event_pipeline::event::{Code, Event, EventType, Refusal, Validator};
///
/// /// Wants to know who acted.
/// struct NamedUsers;
///
/// impl Validator for NamedUsers {
///     fn validate(&self, event: &Event<'_>) -> Result<(), Refusal> {
///         if event.kind == EventType::UserAction && event.user_id.is_none() {
///             return Err(Refusal {
///                 code: Code::Own("anonymous_action"),
///                 pointer: "/user_id".to_owned(),
///                 detail: "an action needs a user_id".to_owned(),
///             });
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Validator: Send + Sync + 'static {
    /// Refuses an event, or lets it pass.
    ///
    /// # Errors
    /// The [`Refusal`] that the client is told; this event alone is rejected.
    fn validate(&self, event: &Event<'_>) -> Result<(), Refusal>;
}

/// Why a [`Validator`] refused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code the client sees: mostly [`Code::Own`], whose name should never change its meaning.
    pub code: Code,
    /// JSON pointer within the event, such as `/data/action`; empty for the event as a whole.
    pub pointer: String,
    /// A sentence for the person who sent it.
    pub detail: String,
}

/// The default [`Validator`]: the contract's rules and nothing beyond.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContractOnly;

impl Validator for ContractOnly {
    fn validate(&self, _event: &Event<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}
