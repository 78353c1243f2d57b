//! What was sent and what was promised, and whether the store kept it.
//!
//! The ledger belongs to the clients, which nothing kills. An event is written down with the hash
//! of its payload before it is sent, and again when it was acknowledged. It is known by a token in
//! its `data`, since the server makes most of the ids.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use crate::kit::store::StoredRow;

/// Names an event of one ledger.
pub(crate) type Token = u64;

/// A file of lines, one a step of an event: `issued TOKEN HASH`, `acked TOKEN LEVEL ID`,
/// `refused TOKEN`, `unknown TOKEN`.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
    next_token: AtomicU64,
}

/// An event's outcome, as its client knows it.
#[derive(Debug, Default)]
struct Entry {
    hash: u64,
    /// The id that was acknowledged at a level that promises something.
    promised: Option<String>,
    /// It was refused at least once.
    refused: bool,
    /// It was sent at least once, and what became of that is not known, or promises nothing.
    unknown: bool,
}

/// What became of the ledger's events.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) issued: usize,
    pub(crate) acked: usize,
    pub(crate) stored: usize,
    /// Acknowledged, and not in the store under the id that was named.
    pub(crate) lost: Vec<Token>,
    /// In more than one row.
    pub(crate) duplicated: Vec<Token>,
    /// Stored with another payload than was sent.
    pub(crate) changed: Vec<Token>,
    /// Stored, and only ever refused.
    pub(crate) taken_all_the_same: Vec<Token>,
    /// Rows that nobody sent.
    pub(crate) foreign: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(dir: &Path) -> Self {
        let path = dir.join("ledger");
        let file = OpenOptions::new().create_new(true).append(true).open(&path).unwrap();
        Self { path, file: Mutex::new(file), next_token: AtomicU64::new(1) }
    }

    /// A token that no other event has.
    pub(crate) fn token(&self) -> Token {
        self.next_token.fetch_add(1, Ordering::Relaxed)
    }

    /// Before the first sending.
    pub(crate) fn issued(&self, events: &[(Token, Value)]) {
        self.write(events.iter().map(|(token, event)| format!("issued {token} {:x}\n", hash(event))));
    }

    /// After a 2xx, with the level that was reached and the ids that were told.
    pub(crate) fn acked<'a>(&self, tokens: impl Iterator<Item = (Token, &'a str)>, level: &str) {
        self.write(tokens.map(|(token, id)| format!("acked {token} {level} {id}\n")));
    }

    /// After a 503.
    pub(crate) fn refused(&self, tokens: impl Iterator<Item = Token>) {
        self.write(tokens.map(|token| format!("refused {token}\n")));
    }

    /// After a connection that broke.
    pub(crate) fn unknown(&self, tokens: impl Iterator<Item = Token>) {
        self.write(tokens.map(|token| format!("unknown {token}\n")));
    }

    fn write(&self, lines: impl Iterator<Item = String>) {
        self.file.lock().unwrap().write_all(lines.collect::<String>().as_bytes()).unwrap();
    }

    fn entries(&self) -> HashMap<Token, Entry> {
        let mut entries: HashMap<Token, Entry> = HashMap::new();
        for line in fs::read_to_string(&self.path).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let entry = entries.entry(words[1].parse().unwrap()).or_default();
            match words[..] {
                ["issued", _, hash] => entry.hash = u64::from_str_radix(hash, 16).unwrap(),
                ["acked", _, "durable" | "stored", id] => entry.promised = Some(id.to_owned()),
                // Other levels promise nothing.
                ["acked", ..] | ["unknown", _] => entry.unknown = true,
                ["refused", _] => entry.refused = true,
                _ => panic!("no line of a ledger: {line}"),
            }
        }
        entries
    }

    /// Holds the ledger against all rows of the store. Rows whose `data` has no token are not looked at.
    pub(crate) fn verify(&self, rows: &[StoredRow]) -> Verdict {
        let entries = self.entries();
        let mut stored: HashMap<Token, Vec<&StoredRow>> = HashMap::new();
        for row in rows {
            if let Some(token) = row.processed_data["data"]["token"].as_u64() {
                stored.entry(token).or_default().push(row);
            }
        }
        let mut verdict = Verdict { issued: entries.len(), stored: stored.len(), ..Verdict::default() };
        for (token, entry) in &entries {
            let rows = stored.get(token).map_or(&[][..], |rows| &rows[..]);
            if let Some(id) = &entry.promised {
                verdict.acked += 1;
                if !rows.iter().any(|row| row.id == *id) {
                    verdict.lost.push(*token);
                }
            }
            if rows.len() > 1 {
                verdict.duplicated.push(*token);
            }
            if rows.iter().any(|row| hash(&sent(row)) != entry.hash) {
                verdict.changed.push(*token);
            }
            if !rows.is_empty() && entry.refused && !entry.unknown && entry.promised.is_none() {
                verdict.taken_all_the_same.push(*token);
            }
        }
        let known: HashSet<&Token> = entries.keys().collect();
        let foreign = stored.iter().filter(|(token, _)| !known.contains(token));
        verdict.foreign = foreign.map(|(_, rows)| rows[0].id.clone()).collect();
        verdict
    }
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.lost.is_empty()
            && self.duplicated.is_empty()
            && self.changed.is_empty()
            && self.taken_all_the_same.is_empty()
            && self.foreign.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let few = |tokens: &[Token]| tokens.iter().take(10).map(Token::to_string).collect::<Vec<_>>().join(" ");
        for (what, tokens) in [
            ("lost", &self.lost),
            ("stored twice", &self.duplicated),
            ("changed", &self.changed),
            ("refused, and stored", &self.taken_all_the_same),
        ] {
            if !tokens.is_empty() {
                writeln!(f, "{} {what}: {} …", tokens.len(), few(tokens))?;
            }
        }
        if !self.foreign.is_empty() {
            writeln!(f, "{} rows that nobody sent: {:?} …", self.foreign.len(), &self.foreign[0])?;
        }
        Ok(())
    }
}

/// What a row's client sent, without the id.
fn sent(row: &StoredRow) -> Value {
    json!({"type": row.kind, "source": row.source, "user_id": row.user_id, "data": row.processed_data["data"]})
}

/// The same for the same payload, whatever the order of its keys; the id does not count.
fn hash(event: &Value) -> u64 {
    let payload = ["type", "source", "user_id", "data"].map(|key| event[key].to_string());
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

mod tests {
    use super::*;

    fn row(token: Token, id: &str, data: &str) -> StoredRow {
        StoredRow {
            id: id.to_owned(),
            kind: "user_action".to_owned(),
            source: "web".to_owned(),
            user_id: None,
            processed_data: json!({"data": {"token": token, "text": data}}),
            processing_time_ms: 0,
            created_at: String::new(),
            processed_at: String::new(),
        }
    }

    /// A ledger that finds nothing would make every other test here pass.
    #[test]
    fn the_ledger_finds_what_is_lost_doubled_changed_foreign_or_refused_and_stored() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(dir.path());
        let event = |token: Token| {
            (token, json!({"type": "user_action", "source": "web", "data": {"token": token, "text": "sent"}}))
        };
        ledger.issued(&(1..=8).map(event).collect::<Vec<_>>());
        ledger.acked([(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")].into_iter(), "durable");
        ledger.acked([(6, "f")].into_iter(), "queued");
        ledger.refused([5, 7, 8].into_iter());
        ledger.unknown([8].into_iter());
        let good =
            [row(1, "a", "sent"), row(2, "b", "sent"), row(3, "c", "sent"), row(4, "d", "sent"), row(5, "e", "sent")];
        let verdict = ledger.verify(&good);
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!((verdict.issued, verdict.acked, verdict.stored), (8, 5, 5));

        let bad = [
            row(2, "b", "sent"),
            row(2, "other", "sent"),
            row(3, "c", "not sent"),
            row(4, "another", "sent"),
            row(5, "e", "sent"),
            row(7, "g", "sent"),
            row(8, "h", "sent"),
            row(9, "i", "sent"),
        ];
        let mut verdict = ledger.verify(&bad);
        verdict.lost.sort_unstable();
        assert_eq!((verdict.lost, verdict.duplicated, verdict.changed), (vec![1, 4], vec![2], vec![3]));
        assert_eq!((verdict.taken_all_the_same, verdict.foreign), (vec![7], vec!["i".to_owned()]));
    }
}
