//! `event-pipeline bench`: how much a service takes, and whether it keeps what it took.
//!
//! It is to measure the service and not itself: requests are rendered before the run, a
//! connection is a task, and nothing is shared between threads but the end of the run. What it
//! sends are events like a browser's, marked with the run and a running number, so that
//! `--verify` can look for each acknowledged one in the store.

use std::{
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};

mod answer;
mod client;
mod figures;
mod load;
mod report;
mod request;
mod verify;

use self::{
    figures::Figures,
    load::{Amount, Load, Plan},
    report::{Bar, Report, elapsed},
    request::{EVENTS_MAX, Form},
};
use super::{
    help, say, serve,
    service::{self, Connection, URL, Url, url_flag},
    text::tell,
    usage,
};
use crate::{config::Settings, storage::Target};

/// The command's name.
pub(super) const NAME: &str = "bench";

const ACK: &str = "ack";
const BATCH: &str = "batch";
const CONNECTIONS: &str = "connections";
const DURATION: &str = "duration";
const EVENTS: &str = "events";
const EVENT_BYTES: &str = "event-bytes";
const IDS: &str = "ids";
const JSON: &str = "json";
const RATE: &str = "rate";
const THREADS: &str = "threads";
const USERS: &str = "users";
const VERIFY: &str = "verify";

const IDS_V7: &str = "v7";
/// How often the threads' figures are taken.
const TICK: Duration = Duration::from_millis(50);
/// How often the bar moves; also the span of the percentile that it shows.
const SHOW: Duration = Duration::from_millis(500);
/// How long answers may stay away altogether before they are given up: longer than a service's own
/// limits are by default.
const SILENCE_MAX: Duration = Duration::from_secs(30);

const HELP: &str = "\
A closed loop (the default) sends on each connection as soon as the last answer is there, and shows what the service \
takes at most. An open loop (--rate) sends at a fixed rate whatever the answers do; its latency counts from when a \
request was due, so that a pause of the service shows in every request that it held up.

--verify reads the store that the settings name; give it the service's `store` and `data_dir`.";
const EXAMPLES: &[&str] = &[
    "event-pipeline bench",
    "event-pipeline bench --rate 50000 --duration 60s --ack stored --json",
    "event-pipeline bench --events 1000000 --verify --store mysql://u:p@db/eventdb",
];

/// The command.
pub(super) fn command() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let value = |name, placeholder, help| Arg::new(name).long(name).value_name(placeholder).help(help);
    let number = |name, help, default, range| {
        value(name, "N", help).default_value(default).value_parser(value_parser!(u64).range(range))
    };
    let command =
        Command::new(NAME).about("Sends events as fast as it can, or at a rate, and says what became of them").args([
            url_flag(),
            number(CONNECTIONS, "Connections", "64", 1..=65_535),
            number(
                BATCH,
                "Events of a request; one is sent to POST /events, more to POST /events/batch",
                "100",
                1..=100_000,
            ),
            number(RATE, "Events a second that are due; 0 sends as fast as the answers come", "0", 0..=100_000_000),
            value(EVENTS, "N", "Ends after so many events")
                .value_parser(value_parser!(u64).range(1..=EVENTS_MAX))
                .conflicts_with(DURATION),
            value(DURATION, "TIME", "Ends after this time, such as 30s")
                .default_value("10s")
                .value_parser(|text: &str| duration(text)),
            value(ACK, "LEVEL", "Asks for this acknowledgement level; without it the service's own is given")
                .value_parser(PossibleValuesParser::new(["queued", "durable", "stored"])),
            value(IDS, "KIND", "Whether the events have ids of their own")
                .default_value("none")
                .value_parser(PossibleValuesParser::new(["none", IDS_V7])),
            number(USERS, "Distinct users", "100000", 1..=1_000_000_000),
            number(EVENT_BYTES, "Bytes of an event's JSON", "230", 1..=64 << 20),
            number(THREADS, "Threads", "1", 1..=256),
            flag(JSON, "Prints JSON instead of text, and no progress"),
            flag(VERIFY, "Looks afterwards for every acknowledged event in the store"),
        ]);
    help::with(command, HELP, EXAMPLES)
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() && duration <= Duration::from_secs(7 * 86_400) => Ok(duration),
        _ => Err("it is no duration up to 7 days, such as 30s or 5m".to_owned()),
    }
}

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    url: Url,
    connections: usize,
    batch: usize,
    rate: u64,
    amount: Amount,
    ack: Option<String>,
    with_ids: bool,
    users: u64,
    event_bytes: usize,
    threads: usize,
    as_json: bool,
    verify: bool,
}

impl Wanted {
    fn read(given: &ArgMatches, settings: &Settings) -> Result<Self, String> {
        let number = |name: &str| given.get_one::<u64>(name).copied().unwrap_or_default();
        let text = |name: &str| given.get_one::<String>(name).map(String::as_str);
        let amount = match given.get_one::<u64>(EVENTS) {
            Some(events) => Amount::Events(*events),
            None => Amount::Time(given.get_one(DURATION).copied().unwrap_or_default()),
        };
        Ok(Self {
            url: service::url(given, settings)?,
            connections: number(CONNECTIONS) as usize,
            batch: number(BATCH) as usize,
            rate: number(RATE),
            amount,
            ack: text(ACK).map(str::to_owned),
            with_ids: text(IDS) == Some(IDS_V7),
            users: number(USERS),
            event_bytes: number(EVENT_BYTES) as usize,
            threads: number(THREADS) as usize,
            as_json: given.get_flag(JSON),
            verify: given.get_flag(VERIFY),
        })
    }

    /// The requests' form, checked against what the service takes.
    fn form(&self, run: u64, settings: &Settings) -> Result<Form, String> {
        let Self { url, ack, batch, event_bytes, users, with_ids, .. } = self;
        let form = Form::new(url, ack.as_deref(), run, *batch, *event_bytes, *users, *with_ids);
        let form = form.map_err(|wrong| format!("--{EVENT_BYTES} {event_bytes}: {wrong}"))?;
        let (bytes, bytes_max) = (form.body_bytes(), settings.http.max_body_bytes);
        if bytes > bytes_max {
            return Err(format!(
                "--{BATCH} {batch} with --{EVENT_BYTES} {event_bytes} makes bodies of {bytes} bytes; the service takes \
                 {bytes_max} (setting `http.max_body_bytes`)"
            ));
        }
        Ok(form)
    }

    fn plan(&self, form: Form, addresses: Vec<SocketAddr>) -> Plan {
        let interval = |rate: u64| Duration::from_nanos((self.batch as u64 * 1_000_000_000 / rate).max(1));
        Plan {
            form,
            addresses,
            connections: self.connections,
            threads: self.threads,
            amount: self.amount,
            interval: (self.rate > 0).then(|| interval(self.rate)),
            keeps_numbers: self.verify,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Where nothing could be sent, or the store cannot be read.
pub(super) fn run(settings: &Settings, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let run = getrandom::u64().context("the system gives no random number")?;
    let read = Wanted::read(given, settings).and_then(|wanted| Ok((wanted.form(run, settings)?, wanted)));
    let (form, wanted) = match read {
        Ok(read) => read,
        Err(wrong) => return Ok(usage(&wrong)),
    };
    if wanted.verify && matches!(settings.store, Target::Discard) {
        return Ok(usage(&format!(
            "--{VERIFY} needs a store that keeps something, and `discard` does not (setting `store`)"
        )));
    }
    serve::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let addresses = reach(&wanted.url).await?;
        // Before the run, for a store that is not there is better known now.
        let store = if wanted.verify { Some(verify::Store::open(settings)?) } else { None };
        let begin = crate::event::Micros::now();
        let (mut figures, cpu) = drive(&wanted, form, &addresses).await?;
        if figures.answered() == 0 {
            let why = figures.error_last.as_deref().unwrap_or("it was stopped before the first answer");
            bail!("no request was answered by {}: {why}", wanted.url.as_str());
        }
        let mut report = Report::new(&wanted, &figures, cpu);
        warn(&wanted, &figures);
        if !wanted.as_json {
            tell(report.text().trim_end())?;
        }
        let mut code = ExitCode::SUCCESS;
        let mut verified = Ok(());
        if let Some(store) = store {
            let acknowledged = std::mem::take(&mut figures.acknowledged);
            let bar = Bar::new(wanted.amount, !wanted.as_json);
            let found = tokio::select! {
                found = verify::run(&store, &wanted.url, &addresses, run, begin, acknowledged, &bar) => found,
                _ = tokio::signal::ctrl_c() => Err(anyhow!("it was interrupted")),
            };
            bar.clear();
            verified = found.map(|found| {
                if found.lost > 0 {
                    code = ExitCode::FAILURE;
                }
                report.verify = Some(found);
            });
        }
        if wanted.as_json {
            tell(&serde_json::to_string(&report)?)?;
        } else if let Some(found) = &report.verify {
            tell(&report::verified(found))?;
        }
        verified.context("cannot verify")?;
        Ok(code)
    })
}

/// The addresses of a service that can be connected to.
async fn reach(url: &Url) -> anyhow::Result<Vec<SocketAddr>> {
    let failed = || format!("cannot connect to {}; does the service run there? (flag --{URL})", url.as_str());
    let addresses = url.addresses().await.with_context(failed)?;
    Connection::open(&addresses).await.with_context(failed)?;
    Ok(addresses)
}

/// Runs the load to its end; its figures, and the processor time that it took.
async fn drive(wanted: &Wanted, form: Form, addresses: &[SocketAddr]) -> anyhow::Result<(Figures, Duration)> {
    let load = Load::start(wanted.plan(form, addresses.to_vec())).context("the load cannot be started")?;
    let cpu_before = cpu();
    let mut bar = Bar::new(wanted.amount, !wanted.as_json);
    let (mut figures, mut recent) = (Figures::new(), Figures::new());
    let (mut answered, mut answered_at, mut shown_at) = (0, Instant::now(), Instant::now());
    let mut interrupts = signal(SignalKind::interrupt()).context("signals cannot be waited for")?;
    let mut is_interrupted = false;
    loop {
        // What is done by now is taken whole below.
        let is_done = load.is_done();
        load.take(&mut recent);
        let now = figures.answered() + recent.answered();
        if now != answered || figures.awaited() + recent.awaited() == 0 {
            (answered, answered_at) = (now, Instant::now());
        }
        if is_done || shown_at.elapsed() >= SHOW {
            bar.show(&recent, shown_at.elapsed(), elapsed(load.start_time()));
            shown_at = Instant::now();
            figures.take(&mut recent);
        }
        if is_done {
            break;
        }
        if answered_at.elapsed() > SILENCE_MAX {
            load.abandon();
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = interrupts.recv() => {
                // The second one does not even wait for the answers.
                if is_interrupted { load.abandon() } else { load.stop() }
                is_interrupted = true;
            }
        }
    }
    let cpu = cpu().saturating_sub(cpu_before);
    bar.clear();
    load.join()?;
    let awaited = figures.awaited();
    if awaited > 0 {
        figures.errors += awaited;
        figures.error_last = Some(match is_interrupted {
            true => format!("{awaited} requests were not waited for"),
            false => format!("{awaited} requests had no answer for {} s", SILENCE_MAX.as_secs()),
        });
    }
    Ok((figures, cpu))
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Tells what spoils a measurement.
fn warn(wanted: &Wanted, figures: &Figures) {
    if figures.errors > 0 {
        let last = figures.error_last.as_deref().unwrap_or("unknown");
        say(&format!("warning: {} errors; the last one: {last}\n", figures.errors));
    }
    let unsent = figures.requests_unsent;
    if unsent > 0 {
        say(&format!(
            "warning: {unsent} requests ({} events) were due and not sent: the service did not keep up with --{RATE} {}, \
             and their latency is not among those shown\n",
            unsent * wanted.batch as u64,
            wanted.rate
        ));
    }
}
