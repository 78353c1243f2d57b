//! `GET /dashboard/stream`: what the dashboard shows, as server-sent events.
//!
//! Once a second `metrics` and `health`, each as the route of that name answers it, with the time in ms as the
//! event's id; and `problems`, the newest dead letters and the store's last failure, at first and whenever they
//! are others. Reading the dead letters holds up nothing else: when a disk hangs, people look here.

use std::{future::Future, io, pin::Pin, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::{
    select,
    time::{Interval, MissedTickBehavior, interval},
};
use uuid::Uuid;

mod page;

pub(super) use self::page::page;
use super::{answer::Answer, context::IngestThread, ops, problem::Problem, progress::Progress, sse};
use crate::{event::Micros, storage::dead_letters::DeadLetter};

const EVERY: Duration = Duration::from_secs(1);
/// Dead letters that are told of.
const LETTERS_MAX: usize = 20;
/// A processor of one's own may say very much.
const DETAIL_CHARS_MAX: usize = 1000;

/// Answers with the stream.
///
/// # Errors
/// 503 where the process has as many streams as it may have.
pub(super) fn stream(thread: &Rc<IngestThread>, progress: &Rc<Progress>) -> Result<Answer, Problem> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch =
        Watch { thread: Rc::clone(thread), ticks, problems: Problems::default(), letters_seen: None, reading: None };
    let events = stream::unfold(watch, |mut watch| async move {
        let events = watch.next().await;
        Some((events, watch))
    });
    sse::answer(thread, progress, events)
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Vec<DeadLetter>>>>>;

/// What one dashboard was told, and what it waits for.
struct Watch {
    thread: Rc<IngestThread>,
    ticks: Interval,
    problems: Problems,
    /// The file's length when the letters in `problems` were asked for.
    letters_seen: Option<u64>,
    reading: Option<Reading>,
}

/// What went wrong lately.
#[derive(Default, Serialize)]
struct Problems {
    /// The newest first.
    dead_letters: Vec<Letter>,
    /// Why those could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    store_failure: Option<Failure>,
}

#[derive(Serialize)]
struct Letter {
    id: Uuid,
    reason: &'static str,
    code: String,
    detail: String,
    failed_at: String,
}

#[derive(PartialEq, Serialize)]
struct Failure {
    code: String,
    detail: String,
    at: String,
}

impl Watch {
    /// The next events, never none.
    async fn next(&mut self) -> Bytes {
        let mut text = Vec::new();
        while text.is_empty() {
            let Self { ticks, reading, .. } = self;
            let read = async {
                match reading {
                    Some(reading) => reading.await,
                    None => std::future::pending().await,
                }
            };
            select! {
                _ = ticks.tick() => self.tell(&mut text),
                read = read => {
                    self.reading = None;
                    self.tell_of_letters(read, &mut text);
                }
            }
        }
        text.into()
    }

    fn tell(&mut self, text: &mut Vec<u8>) {
        let pipeline = self.thread.pipeline();
        text.extend_from_slice(format!("id: {}\n", Micros::now().0 / 1000).as_bytes());
        sse::write(text, "metrics", &pipeline.metrics());
        sse::write(text, "health", &ops::health_now(&self.thread));

        let failure = pipeline.last_store_failure().map(|failure| Failure {
            code: failure.code,
            detail: shortened(&failure.detail),
            at: failure.at.to_string(),
        });
        let letters_bytes = pipeline.dead_letters_bytes();
        if self.reading.is_none() && self.letters_seen != Some(letters_bytes) {
            let pipeline = pipeline.clone();
            self.reading = Some(Box::pin(async move { pipeline.newest_dead_letters(LETTERS_MAX).await }));
            self.letters_seen = Some(letters_bytes);
        }
        if self.problems.store_failure != failure {
            self.problems.store_failure = failure;
            sse::write(text, "problems", &self.problems);
        }
    }

    fn tell_of_letters(&mut self, read: io::Result<Vec<DeadLetter>>, text: &mut Vec<u8>) {
        match read {
            Ok(letters) => {
                self.problems.dead_letters = letters.iter().map(Letter::from).collect();
                self.problems.unread = None;
            }
            Err(error) => {
                // Asked for again with the next tick.
                self.letters_seen = None;
                self.problems.unread = Some(error.to_string());
            }
        }
        sse::write(text, "problems", &self.problems);
    }
}

impl From<&DeadLetter> for Letter {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id,
            reason: letter.reason.as_str(),
            code: letter.code.clone(),
            detail: shortened(&letter.detail),
            failed_at: letter.failed_at.to_string(),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}
