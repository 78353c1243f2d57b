//! What a view shows: the newest figures, the rates so far, and what is wrong with asking.

use std::time::{Duration, Instant};

use super::{figures::Figures, history::History, sections::Look, source::Sample};

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) every: Duration,
    pub(super) look: Look,
    /// The newest figures, and when they were seen.
    pub(super) seen: Option<(Instant, Figures)>,
    pub(super) history: History,
    /// Why the last asking failed.
    pub(super) trouble: Option<String>,
}

impl State {
    pub(super) fn new(url: String, every: Duration, look: Look) -> Self {
        Self { url, every, look, seen: None, history: History::default(), trouble: None }
    }

    /// Notes how an asking ended.
    pub(super) fn take(&mut self, asked: anyhow::Result<Sample>) {
        match asked {
            Ok(sample) => {
                let figures = Figures::of(&sample);
                self.history.add(sample.at, &figures);
                self.seen = Some((sample.at, figures));
                self.trouble = None;
            }
            Err(error) => {
                self.history.add_gap();
                self.trouble = Some(format!("{error:#}"));
            }
        }
    }

    /// `event-pipeline 0.1.0 at http://…, up for 3h 2m`.
    pub(super) fn title(&self) -> String {
        let figures = self.seen.as_ref().map(|(_, figures)| figures);
        let version = figures.and_then(|figures| figures.version.as_deref()).map(|version| format!(" {version}"));
        let up =
            figures.and_then(|figures| figures.uptime).map(|up| format!(", up for {}", crate::cli::text::span(up)));
        format!("event-pipeline{} at {}{}", version.unwrap_or_default(), self.url, up.unwrap_or_default())
    }

    /// The word of `GET /health`.
    pub(super) fn grade(&self) -> &str {
        match &self.seen {
            Some((_, Figures { status: Some(status), .. })) => status,
            _ => "unknown",
        }
    }
}
