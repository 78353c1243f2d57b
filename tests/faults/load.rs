//! Clients that go on whatever happens to the server, and write all of it into the ledger.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    kit::{
        client::{Answer, Client, request},
        until,
    },
    ledger::{Ledger, Token},
};

/// How the clients behave.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    pub(crate) writers: usize,
    /// All writers together; 0 is as fast as they can.
    pub(crate) events_per_s: usize,
    /// Most events of a batch.
    pub(crate) batch_max: usize,
    /// Levels asked for in turn; an empty one asks for none.
    pub(crate) levels: &'static [&'static str],
}

/// What is known while the clients run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Events acknowledged.
    pub(crate) acked: AtomicUsize,
    /// Requests refused, by their code.
    pub(crate) refused: Mutex<BTreeMap<String, usize>>,
    /// How long each accepted request took.
    pub(crate) accepted_after: Mutex<Vec<Duration>>,
    /// How long each refused request took.
    pub(crate) refused_after: Mutex<Vec<Duration>>,
    /// Answers that no client should ever get.
    pub(crate) unexpected: Mutex<Vec<String>>,
}

/// Running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

struct Shared {
    ledger: Arc<Ledger>,
    habits: Habits,
    seen: Arc<Seen>,
    address: Mutex<Option<SocketAddr>>,
    ends: AtomicBool,
}

/// A request, kept so that it can be sent again.
struct Sent {
    tokens: Vec<Token>,
    bytes: Vec<u8>,
    /// Sent twice it is still one event: it has ids, or an idempotency key.
    is_repeatable: bool,
}

impl Load {
    /// Starts the clients, which wait for an address.
    pub(crate) fn start(ledger: &Arc<Ledger>, habits: &Habits, seen: &Arc<Seen>) -> Self {
        let shared = Arc::new(Shared {
            ledger: Arc::clone(ledger),
            habits: habits.clone(),
            seen: Arc::clone(seen),
            address: Mutex::new(None),
            ends: AtomicBool::new(false),
        });
        let writer = |index: usize| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Writer { shared, dice: Dice::new(), index, sent: 0 }.run())
        };
        let writers = (0..habits.writers).map(writer).collect();
        Self { shared, writers }
    }

    /// Where the server is now.
    pub(crate) fn aim(&self, address: SocketAddr) {
        *self.shared.address.lock().unwrap() = Some(address);
    }

    /// Waits until `events` more were acknowledged.
    pub(crate) fn flows(&self, events: usize) {
        let goal = self.acked() + events;
        until("the load to flow", || self.acked() >= goal);
    }

    pub(crate) fn acked(&self) -> usize {
        self.shared.seen.acked.load(Ordering::Relaxed)
    }

    /// Lets the requests that have begun come to their end.
    pub(crate) fn stop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            writer.join().unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // A test that failed does not wait for its clients.
        self.shared.ends.store(true, Ordering::Relaxed);
    }
}

struct Writer {
    shared: Arc<Shared>,
    dice: Dice,
    index: usize,
    sent: usize,
}

impl Writer {
    fn run(mut self) {
        let began = Instant::now();
        let mut connection: Option<Client> = None;
        let mut again: Option<Sent> = None;
        while !self.shared.ends.load(Ordering::Relaxed) {
            if connection.is_none() {
                let address = *self.shared.address.lock().unwrap();
                connection = address.and_then(|address| Client::try_connect(address).ok());
            }
            let Some(client) = &mut connection else {
                thread::sleep(Duration::from_millis(5));
                continue;
            };
            let sent = again.take().unwrap_or_else(|| self.next());
            let since = Instant::now();
            match exchange(client, &sent.bytes) {
                Ok(answer) => {
                    if answer.header("connection") == "close" {
                        connection = None;
                    }
                    if answer.status == 503 {
                        self.refused(&sent, &answer, since);
                        thread::sleep(Duration::from_millis(self.dice.below(40)));
                        again = Some(sent).filter(|_| self.dice.below(2) == 0);
                    } else {
                        self.taken(&sent, &answer, since);
                    }
                }
                Err(_) => {
                    self.shared.ledger.unknown(sent.tokens.iter().copied());
                    connection = None;
                    again = Some(sent).filter(|sent| sent.is_repeatable && self.dice.below(3) > 0);
                }
            }
            self.keep_pace(began);
        }
    }

    /// Makes the next request, and writes it down before anybody can have seen it.
    fn next(&mut self) -> Sent {
        let events = match self.dice.below(10) {
            0..6 => 1,
            _ => 1 + self.dice.below(self.shared.habits.batch_max as u64) as usize,
        };
        let (has_ids, has_key) = (self.dice.below(4) == 0, self.dice.below(4) == 0);
        let events: Vec<(Token, Value)> = (0..events).map(|_| self.event(has_ids)).collect();
        self.shared.ledger.issued(&events);
        self.sent += events.len();
        let tokens: Vec<Token> = events.iter().map(|(token, _)| *token).collect();
        let (path, body) = match &events[..] {
            [(_, event)] => ("/events", event.to_string()),
            _ => ("/events/batch", json!(events.iter().map(|(_, event)| event).collect::<Vec<_>>()).to_string()),
        };
        let levels = self.shared.habits.levels;
        let path = match levels[self.dice.below(levels.len() as u64) as usize] {
            "" => path.to_owned(),
            level => format!("{path}?ack={level}"),
        };
        let key = format!("key-{}", tokens[0]);
        let headers: &[(&str, &str)] = if has_key { &[("Idempotency-Key", &key)] } else { &[] };
        let bytes = request("POST", &path, headers, body.as_bytes());
        Sent { tokens, bytes, is_repeatable: has_ids || has_key }
    }

    fn event(&mut self, has_id: bool) -> (Token, Value) {
        let token = self.shared.ledger.token();
        // Small ones mostly, and now and then one that takes its part of a segment.
        let bytes = match self.dice.below(100) {
            0 => 20_000,
            1..6 => 4_000,
            _ => self.dice.below(300) as usize,
        };
        let kind = ["user_action", "sensor_data", "system_log"][self.dice.below(3) as usize];
        let source = ["web", "mobile", "iot_device", "system"][self.dice.below(4) as usize];
        let mut event = json!({
            "type": kind,
            "source": source,
            "user_id": format!("user-{}", self.dice.below(50)),
            "data": {"token": token, "writer": self.index, "text": "grün \u{1F3E0} \"".repeat(bytes / 12)},
        });
        if has_id {
            event["id"] = json!(Uuid::now_v7());
        }
        (token, event)
    }

    fn taken(&self, sent: &Sent, answer: &Answer, since: Instant) {
        let Shared { ledger, seen, .. } = &*self.shared;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let ids: Vec<&str> = match &body["ids"] {
            Value::Array(ids) => ids.iter().filter_map(Value::as_str).collect(),
            _ => body["id"].as_str().into_iter().collect(),
        };
        if !matches!(answer.status, 200 | 202) || ids.len() != sent.tokens.len() {
            seen.unexpected.lock().unwrap().push(format!("{}: {}", answer.status, answer.text()));
            return ledger.unknown(sent.tokens.iter().copied());
        }
        let level = body["ack"].as_str().unwrap_or("none");
        if level == "dead" {
            // All that is sent here is good.
            seen.unexpected.lock().unwrap().push(format!("refused by the store: {body}"));
        }
        ledger.acked(sent.tokens.iter().copied().zip(ids), level);
        seen.acked.fetch_add(sent.tokens.len(), Ordering::Relaxed);
        seen.accepted_after.lock().unwrap().push(since.elapsed());
    }

    fn refused(&self, sent: &Sent, answer: &Answer, since: Instant) {
        let Shared { ledger, seen, .. } = &*self.shared;
        ledger.refused(sent.tokens.iter().copied());
        seen.refused_after.lock().unwrap().push(since.elapsed());
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or("none").to_owned();
        if !answer.header("retry-after").parse().is_ok_and(|seconds: u32| (1..=30).contains(&seconds)) {
            seen.unexpected.lock().unwrap().push(format!("503 without a good Retry-After: {answer:?}"));
        }
        *seen.refused.lock().unwrap().entry(code).or_default() += 1;
    }

    fn keep_pace(&self, began: Instant) {
        let Habits { events_per_s, writers, .. } = self.shared.habits;
        if events_per_s > 0 {
            let due = began + Duration::from_secs_f64((self.sent * writers) as f64 / events_per_s as f64);
            // Never for long: it ends when it is told to.
            thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(200)));
        }
    }
}

fn exchange(client: &mut Client, bytes: &[u8]) -> io::Result<Answer> {
    client.send(bytes)?;
    client.answer()
}

/// Numbers by chance.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        Self(getrandom::u64().unwrap())
    }

    /// One below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
