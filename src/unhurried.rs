//! Threads that do not take the processor away from another when they wake: whatever gathers work gains
//! by waking a moment later, with more of it.
//!
//! On a busy machine a worker that preempts the ingest thread which woke it finds one request; one that
//! waits its turn finds all that came meanwhile, and one sync serves them. With a free processor at hand
//! nothing changes.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// Lets the calling thread wake without preempting others, where the system can do that (`SCHED_BATCH` on
/// Linux). Elsewhere, or where it is refused, the thread runs as any other.
pub(crate) fn wake_without_preempting() {
    // The middle of the library's scale is the priority that threads have anyway.
    let Ok(usual) = ThreadPriority::try_from(50_u8) else { return };
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), usual, policy) {
        tracing::debug!(%error, "a thread keeps its usual scheduling policy");
    }
}
