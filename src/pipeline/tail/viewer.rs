//! A viewer: what it wants to see, what waits for it, and what it missed.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    Tails, lock,
    tray::{Allowance, Rate},
};
use crate::{
    event::{Event, EventType},
    pipeline::JournaledEvent,
};

/// Most events that wait for one viewer.
const WAITING_EVENTS_MAX: usize = 1024;
/// Where the `data` of those that wait has so many bytes, no more are added.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Which events a viewer sees: those that have what is given here, compared exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailFilter {
    /// Only those of this type.
    pub kind: Option<EventType>,
    /// Only those of this user.
    pub user_id: Option<String>,
}

impl TailFilter {
    fn matches(&self, event: &Event<'_>) -> bool {
        self.kind.is_none_or(|kind| event.kind == kind)
            && self.user_id.as_deref().is_none_or(|user_id| event.user_id == Some(user_id))
    }
}

/// What a viewer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event that matches its filter and is synced to the journal. Viewers share it.
    Event(Arc<JournaledEvent>),
    /// So many events were passed over here: some that matched, for which the viewer was too slow or had seen its
    /// share, and some that nobody looked at, which may have matched or not.
    Missed(u64),
}

/// The events of a pipeline as they become durable, from [`Pipeline::tail`](crate::pipeline::Pipeline::tail) on.
#[derive(Debug)]
pub struct Tail {
    waiting: Arc<Waiting>,
    tails: Arc<Tails>,
}

impl Tail {
    /// Waits for the next event, or for the news that some were missed; `None` once the pipeline has stopped.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            // Ordering: Acquire pairs with the Release in `Viewer::drop`. Read first: then nothing can come after
            // the last look.
            let is_over = self.waiting.is_over.load(Ordering::Acquire);
            if let Some(seen) = self.next_now() {
                return Some(seen);
            }
            if is_over {
                return None;
            }
            self.waiting.came.notified().await;
        }
    }

    /// The next one that is here already.
    pub fn next_now(&mut self) -> Option<Seen> {
        lock(&self.waiting.queue).take()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.tails.leave();
    }
}

/// What waits for one viewer.
#[derive(Debug, Default)]
struct Waiting {
    queue: Mutex<Queue>,
    came: Notify,
    /// Nothing more comes.
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    seen: VecDeque<Seen>,
    /// How many of them are events.
    events: usize,
    /// Bytes of their `data`.
    bytes: usize,
}

impl Queue {
    fn has_room(&self) -> bool {
        self.events < WAITING_EVENTS_MAX && self.bytes < WAITING_BYTES_MAX
    }

    fn put(&mut self, event: Arc<JournaledEvent>) {
        self.events += 1;
        self.bytes += event.data.len();
        self.seen.push_back(Seen::Event(event));
    }

    /// Notes that events were missed here.
    fn miss(&mut self, events: u64) {
        match self.seen.back_mut() {
            Some(Seen::Missed(before)) => *before += events,
            Some(Seen::Event(_)) | None => self.seen.push_back(Seen::Missed(events)),
        }
    }

    fn take(&mut self) -> Option<Seen> {
        let seen = self.seen.pop_front();
        if let Some(Seen::Event(event)) = &seen {
            self.events -= 1;
            self.bytes -= event.data.len();
        }
        seen
    }
}

/// The hub's end of a [`Tail`].
#[derive(Debug)]
pub(super) struct Viewer {
    filter: TailFilter,
    waiting: Arc<Waiting>,
    allowance: Allowance,
}

impl Viewer {
    /// A viewer that may see what `rate` brings, and its own end.
    pub(super) fn new(filter: TailFilter, rate: Rate, tails: Arc<Tails>) -> (Self, Tail) {
        let waiting = Arc::new(Waiting::default());
        let tail = Tail { waiting: Arc::clone(&waiting), tails };
        (Self { filter, waiting, allowance: Allowance::full(rate) }, tail)
    }

    pub(super) fn has_left(&self) -> bool {
        Arc::strong_count(&self.waiting) == 1
    }

    /// Allows it what `rate` brings in this time.
    pub(super) fn allow(&mut self, rate: Rate, since: Duration) {
        self.allowance.refill(rate, since);
    }

    /// Shows it an event, which is `shared` by all that see it, or has it miss the event; nothing where the event
    /// does not match.
    pub(super) fn show(&mut self, event: &Event<'_>, bytes: usize, shared: &mut Option<Arc<JournaledEvent>>) {
        if !self.filter.matches(event) {
            return;
        }
        let mut queue = lock(&self.waiting.queue);
        if queue.has_room() && self.allowance.take(bytes) {
            queue.put(Arc::clone(shared.get_or_insert_with(|| Arc::new(JournaledEvent::of(event)))));
        } else {
            queue.miss(1);
        }
    }

    /// Tells it that it was shown all for now, and how many events nobody looked at.
    pub(super) fn look_up(&self, passed_over: u64) {
        let mut queue = lock(&self.waiting.queue);
        if passed_over > 0 {
            queue.miss(passed_over);
        }
        let has_news = !queue.seen.is_empty();
        drop(queue);
        if has_news {
            self.waiting.came.notify_one();
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // Ordering: see `Tail::next`.
        self.waiting.is_over.store(true, Ordering::Release);
        self.waiting.came.notify_one();
    }
}
