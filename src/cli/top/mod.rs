//! `event-pipeline top`: a running service's figures, live in a terminal, once as text, or as JSON lines.
//!
//! It only asks (`GET /metrics`, `GET /health`), a few times a minute for each who looks, and shows what it
//! is told: nothing here is trusted to be a number, to be short or to be harmless in a terminal.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use ratatui::text::Line;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

mod figures;
mod history;
mod live;
mod sections;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod view;

use self::{
    sections::Look,
    source::{Sample, Source},
    state::State,
};
use super::{
    help,
    service::{self, url_flag},
    text::{is_colour_wanted, tell, unless_reader_left},
    usage,
};
use crate::{config::Settings, event::Micros};

/// The command's name.
pub(super) const NAME: &str = "top";

const INTERVAL: &str = "interval";
const JSON: &str = "json";
const ONCE: &str = "once";

const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// How wide `--once` writes.
const ONCE_WIDTH: usize = 100;

const HELP: &str =
    "Rates are taken over the interval; latencies are those since the service started. While the service \
cannot be reached the view says so and tries on; with --once the exit code is 1 then. A line of JSON has `at`, `metrics` \
(as GET /metrics) and `health` (as GET /health), or `at` and `error`.

q, Esc and Ctrl-C leave. Colours are left out where NO_COLOR is set.";
const EXAMPLES: &[&str] = &[
    "event-pipeline top",
    "event-pipeline top --url http://10.0.0.7:8080 --interval 5s",
    "event-pipeline top --once",
    "event-pipeline top --json | jq .metrics.current_queue_depth",
];

/// The command.
pub(super) fn command() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let every = Arg::new(INTERVAL)
        .long(INTERVAL)
        .value_name("TIME")
        .default_value("1s")
        .value_parser(|text: &str| interval_of(text))
        .help("How often the service is asked");
    let command = Command::new(NAME).about("Shows a running service's figures in the terminal, as they change").args([
        url_flag(),
        every,
        flag(ONCE, "Prints the figures once, as plain text, and ends"),
        flag(JSON, "Prints a line of JSON instead, each interval"),
    ]);
    help::with(command, HELP, EXAMPLES)
}

fn interval_of(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(every) if (INTERVAL_MIN..=INTERVAL_MAX).contains(&every) => Ok(every),
        _ => Err("it is no duration from 100ms to 1h, such as 2s".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// Where the terminal cannot be used; with `--once` where the service cannot be reached.
pub(super) fn run(settings: &Settings, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let url = match service::url(given, settings) {
        Ok(url) => url,
        Err(wrong) => return Ok(usage(&wrong)),
    };
    let every = given.get_one(INTERVAL).copied().unwrap_or(INTERVAL_MIN);
    let (once, as_json) = (given.get_flag(ONCE), given.get_flag(JSON));
    if !once && !as_json && !io::stdout().is_terminal() {
        return Ok(usage(&format!(
            "standard output is no terminal to show figures in; use --{ONCE} for text or --{JSON} for programs"
        )));
    }
    let look = Look { colours: is_colour_wanted() && !once };
    let mut source = Source::new(url);
    let mut state = State::new(source.url().as_str().to_owned(), every, look);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        match (once, as_json) {
            (true, true) => tell(&line(&Ok(source.sample().await?)).to_string()),
            (true, false) => {
                state.take(Ok(source.sample().await?));
                tell(&text(&state))
            }
            (false, true) => lines(source, every).await,
            (false, false) => live::run(source, state).await,
        }
    });
    unless_reader_left(ended.map(|()| ExitCode::SUCCESS))
}

/// Prints a line an interval, until whoever reads them leaves.
async fn lines(mut source: Source, every: Duration) -> anyhow::Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&line(&source.sample().await).to_string())?;
    }
}

fn line(asked: &anyhow::Result<Sample>) -> Value {
    let at = Micros::now().to_string();
    match asked {
        Ok(Sample { metrics, health, .. }) => json!({"at": at, "metrics": metrics, "health": health}),
        Err(error) => json!({"at": at, "error": format!("{error:#}")}),
    }
}

/// The figures as plain text.
fn text(state: &State) -> String {
    let mut lines = vec![format!("{}: {}", state.title(), state.grade())];
    if let Some((_, figures)) = &state.seen {
        let (look, width) = (state.look, ONCE_WIDTH);
        for part in [
            sections::totals(figures, look, width),
            sections::latency(figures, look, width),
            sections::state(figures, look, width),
            sections::shards(figures, None, look, width),
        ] {
            lines.push(String::new());
            lines.extend(part.iter().map(plain));
        }
    }
    lines.join("\n")
}

fn plain(line: &Line<'_>) -> String {
    let text: String = line.iter().map(|span| span.content.as_ref()).collect();
    text.trim_end().to_owned()
}
