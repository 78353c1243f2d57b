//! A bound on lines that clients can provoke: of each kind at most so many in a window of time are written,
//! and then one line says how many more there were. A kind is a place in the code.
//!
//! Only kinds of the modules named here are bounded. Whatever an operator must see (start and stop, the
//! store's state, damage to the journal) is written elsewhere, and always.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Most lines of a kind in a window.
pub(super) const LINES_MAX: u64 = 20;
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Whose lines clients can provoke: refusals, panics of handlers, and events that the store or the processor
/// refuses.
const BOUNDED: [&str; 3] =
    ["event_pipeline::http", "event_pipeline::pipeline::flight", "event_pipeline::pipeline::storing"];

/// The bound, as a layer of the log. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Limit(Arc<RwLock<HashMap<Identifier, Kind>>>);

/// One kind of line.
#[derive(Debug)]
struct Kind {
    /// The module it is in.
    target: &'static str,
    /// What its lines say, once one was left out.
    message: OnceLock<String>,
    /// Lines in this window, the written ones and the others.
    lines: AtomicU64,
}

impl Limit {
    /// Begins a window, and says what was left out in the last one.
    pub(super) fn end_window(&self) {
        let left_out: Vec<_> = {
            let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let seen = kinds.values().map(|kind| (kind, kind.lines.swap(0, Ordering::Relaxed)));
            let over = seen.filter(|(_, lines)| *lines > LINES_MAX);
            over.map(|(kind, lines)| (kind.target, kind.message.get().cloned(), lines - LINES_MAX)).collect()
        };
        for (module, message, lines) in left_out {
            tracing::warn!(lines, of = message.unwrap_or_default(), module, "lines were left out of the log");
        }
    }

    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if !is_bounded(metadata.target()) {
            return true;
        }
        let callsite = metadata.callsite();
        if let Some(kind) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&callsite) {
            return kind.admits(event);
        }
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(callsite).or_insert_with(|| Kind::new(metadata)).admits(event)
    }
}

impl Kind {
    fn new(metadata: &Metadata<'static>) -> Self {
        Self { target: metadata.target(), message: OnceLock::new(), lines: AtomicU64::new(0) }
    }

    fn admits(&self, event: &Event<'_>) -> bool {
        // Ordering: a count that stands by itself.
        let is_admitted = self.lines.fetch_add(1, Ordering::Relaxed) < LINES_MAX;
        if !is_admitted && self.message.get().is_none() {
            let mut message = Message::default();
            event.record(&mut message);
            // Another thread may have been faster, with the same text.
            let _ = self.message.set(message.0);
        }
        is_admitted
    }
}

fn is_bounded(target: &str) -> bool {
    BOUNDED
        .iter()
        .any(|bounded| target.strip_prefix(bounded).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.admits(event)
    }
}

/// The text of an event, without its fields.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        path::Path,
        sync::{Mutex, MutexGuard},
        thread,
    };

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for &Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = &'a Self;

        fn make_writer(&'a self) -> &'a Self {
            self
        }
    }

    impl Written {
        fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }

        /// How many lines hold this.
        fn count(&self, text: &str) -> u64 {
            String::from_utf8(self.lock().clone()).unwrap().lines().filter(|line| line.contains(text)).count() as u64
        }
    }

    /// Runs `test` with a log of its own.
    fn logged(test: impl FnOnce(&Limit, &Written)) {
        let _turn = super::super::tests::turn();
        let (limit, written) = (Limit::default(), Written::default());
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(written.clone());
        let all = tracing_subscriber::registry().with(lines).with(limit.clone());
        tracing::subscriber::with_default(all, || test(&limit, &written));
    }

    #[test]
    fn of_each_kind_so_many_are_written_and_the_rest_is_counted() {
        logged(|limit, written| {
            let provoke = |times: u64| {
                for n in 0..times {
                    tracing::warn!(target: "event_pipeline::http::refusal", n, "provoked");
                    tracing::info!(target: "event_pipeline::pipeline", n, "must be seen");
                }
            };
            provoke(LINES_MAX + 7);
            tracing::warn!(target: "event_pipeline::http::refusal", "of another kind");
            assert_eq!((written.count("provoked"), written.count("must be seen")), (LINES_MAX, LINES_MAX + 7));
            assert_eq!(written.count("of another kind"), 1);
            assert_eq!(written.count("left out"), 0);
            limit.end_window();
            assert_eq!(written.count("left out"), 1);
            assert_eq!(written.count("lines=7 of=\"provoked\" module=\"event_pipeline::http::refusal\""), 1);

            provoke(1);
            assert_eq!(written.count("provoked"), LINES_MAX + 2, "a new window, and the line about the last one");
            limit.end_window();
            assert_eq!(written.count("left out"), 1, "nothing was left out since");
        });
    }

    #[test]
    fn many_threads_write_no_more_than_one_does() {
        logged(|limit, written| {
            tracing::dispatcher::get_default(|log| {
                thread::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|| {
                            tracing::dispatcher::with_default(log, || {
                                for _ in 0..1000 {
                                    tracing::warn!(target: "event_pipeline::http", "provoked");
                                }
                            });
                        });
                    }
                });
            });
            assert_eq!(written.count("provoked"), LINES_MAX);
            limit.end_window();
            assert_eq!(written.count(&format!("lines={}", 4000 - LINES_MAX)), 1);
        });
    }

    #[test]
    fn the_modules_whose_lines_are_bounded_are_there() {
        for module in BOUNDED {
            let path = module.replace("event_pipeline", concat!(env!("CARGO_MANIFEST_DIR"), "/src")).replace("::", "/");
            assert!(Path::new(&path).is_dir() || Path::new(&format!("{path}.rs")).is_file(), "{module}");
            assert!(is_bounded(module) && is_bounded(&format!("{module}::below")));
            assert!(!is_bounded(&format!("{module}s")));
        }
    }
}
