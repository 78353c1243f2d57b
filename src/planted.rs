//! Bugs that can be planted, so that the tests which look for lost events are seen to find them.
//!
//! They exist only in a binary that was built with `BUILD_PLANTED_BUGS=1`, for `scripts/faults`; there
//! the variable `PLANTED_BUG` names the one that is planted. Everywhere else [`is_planted`] is
//! false, and the compiler removes what stands behind it.

/// A bug that loses acknowledged events, or stores them twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// `ack_before_sync`: a commit is acknowledged when it was written.
    AckBeforeSync,
    /// `go_on_after_failed_sync`: a sync that failed is tried again, and then believed.
    GoOnAfterFailedSync,
    /// `no_directory_sync`: the names of segments are never synced.
    NoDirectorySync,
    /// `recycle_before_stored`: segments are used again before the store has their events.
    RecycleBeforeStored,
    /// `panic_in_shard`: a shard's worker panics once it has some events.
    PanicInShard,
    /// `trust_stale_reply`: a connection is used on after a call on it was given up.
    TrustStaleReply,
}

impl Bug {
    #[cfg(planted)]
    fn name(self) -> &'static str {
        match self {
            Self::AckBeforeSync => "ack_before_sync",
            Self::GoOnAfterFailedSync => "go_on_after_failed_sync",
            Self::NoDirectorySync => "no_directory_sync",
            Self::RecycleBeforeStored => "recycle_before_stored",
            Self::PanicInShard => "panic_in_shard",
            Self::TrustStaleReply => "trust_stale_reply",
        }
    }
}

/// Whether `bug` was planted.
#[cfg(planted)]
pub(crate) fn is_planted(bug: Bug) -> bool {
    use std::sync::LazyLock;
    static NAME: LazyLock<String> = LazyLock::new(|| std::env::var("PLANTED_BUG").unwrap_or_default());
    *NAME == bug.name()
}

/// Whether `bug` was planted.
#[cfg(not(planted))]
pub(crate) const fn is_planted(_bug: Bug) -> bool {
    false
}
