//! Requests that are rendered once and patched in place each time they are sent.
//!
//! An event is like a browser's, of exactly the size that was asked for. What changes from one
//! sending to the next has a fixed width: the number, the user, the second, and the id where the
//! client makes it. So that sending costs a few stores an event, and one write a request.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    cli::service::Url,
    event::{EventType, Micros, Source},
};

/// The first number of a run, so that all have as many digits without a zero in front.
pub(super) const NUMBER_FIRST: u64 = 1_000_000_000;
/// Most events of a run.
pub(super) const EVENTS_MAX: u64 = 9 * NUMBER_FIRST;
const NUMBER_DIGITS: usize = 10;
/// `2026-01-15T10:30:00Z`
const SECOND_CHARS: usize = 20;
const ID_CHARS: usize = 36;
/// How many of an id's digits, its last, the number takes.
const ID_NUMBER_DIGITS: usize = 10;

const ID: &str = r#""id":"","#;
const USER: &str = r#","user_id":"user_"#;
const TIMESTAMP: &str = r#"","timestamp":""#;
const RUN: &str = r#"","data":{"bench":{"run":""#;
const NUMBER: &str = r#"","n":"#;
const NUMBER_END: &str = "},";
const TEXT: &str = r#""metadata":{"page":""#;
const END: &str = r#""}}}"#;
const RUN_DIGITS: usize = 16;

const KINDS: [EventType; 3] = [EventType::UserAction, EventType::SensorData, EventType::SystemLog];
const SOURCES: [Source; 4] = [Source::Web, Source::Mobile, Source::IotDevice, Source::System];

/// What all requests of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Tells this run's events from all others in the store.
    pub(super) run: u64,
    /// Events of one request.
    pub(super) batch: usize,
    /// Bytes of one event.
    pub(super) event_bytes: usize,
    /// Whether the client makes the ids.
    pub(super) with_ids: bool,
    pub(super) users: Users,
    /// The request's head up to its length.
    head: String,
}

impl Form {
    /// # Errors
    /// Where an event of that size cannot hold what it must.
    pub(super) fn new(
        url: &Url,
        ack: Option<&str>,
        run: u64,
        batch: usize,
        event_bytes: usize,
        users: u64,
        with_ids: bool,
    ) -> Result<Self, String> {
        let path = if batch == 1 { "/events" } else { "/events/batch" };
        let query = ack.map_or_else(String::new, |ack| format!("?ack={ack}"));
        let head = format!("{}Content-Type: application/json\r\n", url.head("POST", &format!("{path}{query}")));
        let form = Self { run, batch, event_bytes, with_ids, users: Users::new(users), head };
        let bytes_min = form.event_bytes_min();
        if event_bytes < bytes_min {
            return Err(format!("an event with its fields has at least {bytes_min} bytes"));
        }
        Ok(form)
    }

    /// Bytes of the largest event without any text.
    fn event_bytes_min(&self) -> usize {
        let longest = |texts: &[&str]| texts.iter().map(|text| text.len()).max().unwrap_or_default();
        let kind = longest(&KINDS.map(EventType::as_str));
        let source = longest(&SOURCES.map(Source::as_str));
        let id = if self.with_ids { ID.len() + ID_CHARS } else { 0 };
        let words = r#"{"type":"","source":"""#.len() + USER.len() + TIMESTAMP.len() + RUN.len() + NUMBER.len();
        let fields = self.users.digits + SECOND_CHARS + RUN_DIGITS + NUMBER_DIGITS;
        id + words + kind + source + fields + NUMBER_END.len() + TEXT.len() + END.len()
    }

    /// Bytes of a body.
    pub(super) fn body_bytes(&self) -> usize {
        match self.batch {
            1 => self.event_bytes,
            events => BODY.len() + events * (self.event_bytes + 1) - 1 + BODY_END.len(),
        }
    }

    /// A request of `events` events; of requests with another `seed`, other types, sources and values.
    pub(super) fn render(&self, events: usize, seed: usize) -> Request {
        let is_batch = self.batch > 1;
        let mut body = String::with_capacity(self.body_bytes());
        let mut slots = Vec::with_capacity(events);
        if is_batch {
            body.push_str(BODY);
        }
        for index in 0..events {
            if index > 0 {
                body.push(',');
            }
            slots.push(self.render_event(&mut body, seed + index));
        }
        if is_batch {
            body.push_str(BODY_END);
        }
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, body.len());
        for slot in &mut slots {
            slot.event += head.len();
            slot.user += head.len();
        }
        Request { bytes: (head + &body).into_bytes(), slots, second: [0; SECOND_CHARS], second_s: -1 }
    }

    fn render_event(&self, body: &mut String, seed: usize) -> Slot {
        let event = body.len();
        body.push('{');
        if self.with_ids {
            let (before, behind) = ID.split_at(ID.len() - 2);
            body.extend([before, &"0".repeat(ID_CHARS), behind]);
        }
        let (kind, source) = (KINDS[seed % KINDS.len()], SOURCES[seed / KINDS.len() % SOURCES.len()]);
        body.extend([r#""type":""#, kind.as_str(), r#"","source":""#, source.as_str(), "\"", USER]);
        let user = body.len();
        body.extend([&"0".repeat(self.users.digits), TIMESTAMP, &"0".repeat(SECOND_CHARS), RUN]);
        body.push_str(&format!("{:016x}", self.run));
        body.extend([NUMBER, &"0".repeat(NUMBER_DIGITS), NUMBER_END]);
        let mut room = self.event_bytes - (body.len() - event) - TEXT.len() - END.len();
        let value = format!(r#""value":{}.{:02},"#, 100 + seed * 37 % 900, seed * 53 % 100);
        for field in [r#""action":"purchase","#, &value, r#""currency":"EUR","#] {
            if field.len() <= room {
                body.push_str(field);
                room -= field.len();
            }
        }
        body.push_str(TEXT);
        body.extend("/shop/checkout/".chars().cycle().take(room));
        body.push_str(END);
        Slot { event, user }
    }
}

const BODY: &str = r#"{"events":["#;
const BODY_END: &str = "]}";

/// Where in a request's bytes an event's fields lie.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Where the event begins.
    event: usize,
    /// Where the user's digits begin; the other fields follow at fixed distances.
    user: usize,
}

/// A whole request, head and body.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    second: [u8; SECOND_CHARS],
    second_s: i64,
}

impl Request {
    /// Makes it the request whose events have the numbers from `first` on, sent now.
    pub(super) fn stamp(&mut self, form: &Form, first: u64) -> &[u8] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let second_s = now.as_secs().cast_signed();
        let is_new_second = second_s != self.second_s;
        if is_new_second {
            self.second = second(second_s);
            self.second_s = second_s;
        }
        let id = form.with_ids.then(|| id(now.as_millis() as u64, form.run));
        let mut user = form.users.of(first);
        let timestamp = form.users.digits + TIMESTAMP.len();
        let number = timestamp + SECOND_CHARS + RUN.len() + RUN_DIGITS + NUMBER.len();
        for (slot, n) in self.slots.iter().zip(first..) {
            let fields = &mut self.bytes[slot.user..slot.user + number + NUMBER_DIGITS];
            put_decimal(&mut fields[..form.users.digits], user);
            put_decimal(&mut fields[number..], NUMBER_FIRST + n);
            if is_new_second {
                fields[timestamp..timestamp + SECOND_CHARS].copy_from_slice(&self.second);
            }
            user = form.users.after(user);
            if let Some(id) = &id {
                let at = slot.event + 1 + ID.len() - 2;
                let place = &mut self.bytes[at..at + ID_CHARS];
                place.copy_from_slice(id);
                put_hexadecimal(&mut place[ID_CHARS - ID_NUMBER_DIGITS..], n);
            }
        }
        &self.bytes
    }
}

/// Whole seconds as RFC 3339.
fn second(second_s: i64) -> [u8; SECOND_CHARS] {
    let text = Micros(second_s * 1_000_000).to_string();
    let mut second = *b"0000-00-00T00:00:00Z";
    second[..SECOND_CHARS - 1].copy_from_slice(&text.as_bytes()[..SECOND_CHARS - 1]);
    second
}

/// A UUIDv7 of this millisecond and run, whose last digits are left to the number.
fn id(millis: u64, run: u64) -> [u8; ID_CHARS] {
    let (a, b) = (run >> 22 & 0xfff, run & 0x3f_ffff);
    let number_bits = 4 * ID_NUMBER_DIGITS;
    let high = millis << 16 | 0x7000 | a;
    let low = 1 << 63 | b << number_bits;
    let mut text = [0; ID_CHARS];
    uuid::Uuid::from_u64_pair(high, low).hyphenated().encode_lower(&mut text);
    text
}

fn put_decimal(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn put_hexadecimal(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
}

/// The users, walked so that any so many events in a row have each of them once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Users {
    count: u64,
    /// Has no divisor in common with `count`.
    step: u64,
    digits: usize,
}

impl Users {
    fn new(count: u64) -> Self {
        // About the golden section, so that neighbours are far from each other.
        let mut step = (count * 618 / 1000).max(1);
        while common_divisor(step, count) != 1 {
            step += 1;
        }
        Self { count, step, digits: (count - 1).checked_ilog10().map_or(1, |digits| digits as usize + 1) }
    }

    fn of(self, n: u64) -> u64 {
        n % self.count * self.step % self.count
    }

    fn after(self, user: u64) -> u64 {
        let next = user + self.step;
        if next < self.count { next } else { next % self.count }
    }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn form(batch: usize, event_bytes: usize, users: u64, with_ids: bool) -> Result<Form, String> {
        Form::new(&"http://h:1".parse().unwrap(), None, 0xfeed_0000_0000_0001, batch, event_bytes, users, with_ids)
    }

    /// The body's events, each as it lies there.
    fn events(request: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        body["events"].as_array().cloned().unwrap_or_else(|| vec![body.clone()])
    }

    #[test]
    fn an_event_has_exactly_the_size_that_was_asked_for() {
        for with_ids in [false, true] {
            let smallest = form(1, 0, 100_000, with_ids).unwrap_err();
            let smallest: usize = smallest.split(' ').rev().nth(1).unwrap().parse().unwrap();
            assert!(smallest <= 230, "the default size does for ids, too: {smallest}");
            for bytes in (smallest..smallest + 120).chain([5000]) {
                let form = form(1, bytes, 100_000, with_ids).unwrap();
                for seed in 0..12 {
                    let mut request = form.render(1, seed);
                    let text = String::from_utf8(request.stamp(&form, 7).to_vec()).unwrap();
                    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), bytes, "{text}");
                    events(text.as_bytes());
                }
            }
            assert!(form(1, smallest - 1, 100_000, with_ids).is_err());
        }
    }

    #[test]
    fn patching_changes_number_user_second_and_id() {
        let form = form(3, 230, 10, true).unwrap();
        let mut request = form.render(3, 0);
        let mut ids = HashSet::new();
        let mut users = Vec::new();
        for first in [0, 3, 6, 1_234_567_890] {
            for (index, event) in (0..).zip(events(request.stamp(&form, first))) {
                let bench = &event["data"]["bench"];
                assert_eq!(bench["run"], "feed000000000001");
                assert_eq!(bench["n"].as_u64(), Some(NUMBER_FIRST + first + index));
                let id: uuid::Uuid = event["id"].as_str().unwrap().parse().unwrap();
                assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
                assert!(ids.insert(id));
                users.push(event["user_id"].as_str().unwrap().to_owned());
                let sent = Micros::parse_any_rfc3339(event["timestamp"].as_str().unwrap()).unwrap();
                assert!(Micros::now().0 - sent.0 < 60_000_000);
                assert_eq!(id.get_timestamp().unwrap().to_unix().0, sent.seconds().cast_unsigned());
            }
        }
        assert!(users.iter().all(|user| user.len() == "user_0".len()), "{users:?}");
    }

    #[test]
    fn every_user_comes_as_often_as_the_others() {
        for count in [1, 2, 3, 10, 97, 1000, 4096] {
            let users = Users::new(count);
            let (mut user, mut seen) = (users.of(5), HashSet::new());
            for n in 5..5 + count {
                assert_eq!(user, users.of(n));
                assert!(user < count && seen.insert(user), "{count}: {user} again");
                user = users.after(user);
            }
        }
    }

    #[test]
    fn a_request_may_hold_fewer_events_than_the_others() {
        let form = form(100, 230, 100, false).unwrap();
        let mut request = form.render(7, 0);
        assert_eq!(events(request.stamp(&form, 0)).len(), 7);
    }
}
