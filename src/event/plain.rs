//! The fastest way from a body to its events: one look at each byte, for bodies that are written plainly.
//!
//! Plain is what nearly every client sends: fields that are known and stand once, no escape in what the rules read,
//! and in `data` only short escapes, numbers without an exponent and few levels. The grammar of such a body is
//! checked to the letter. Of any other body this says nothing at all, and judges no event of it: the
//! [tape](super::tape) parser reads it then, from its beginning.
//!
//! It makes no copy and no tape. A pass over the body finds the fields, as ranges of it; only when the whole of it
//! is known to be good JSON are the events judged, one after another.

use std::ops::Range;

use super::{
    DATA_DEPTH_MAX,
    bench::{Bench, Shape},
    rules::{Field, Fields, ObjectText, Value},
};

/// Longest number that is surely a double: any of so few digits is.
const NUMBER_BYTES_MAX: usize = 300;
/// The open objects and arrays are the bits of a word.
const _: () = assert!(DATA_DEPTH_MAX < u64::BITS as usize);

/// Where the fields of an event stand, strings without their quotes; empty at 0 where there is none.
type Places = [Range<u32>; Field::COUNT];

/// Finds the events of plain bodies, with a buffer that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct PlainParser {
    events: Vec<Places>,
}

impl PlainParser {
    /// Judges every event of `body`, or returns false without having judged any.
    pub(super) fn judge(&mut self, body: &[u8], shape: Shape, bench: &mut Bench<'_>) -> bool {
        self.events.clear();
        let Ok(text) = std::str::from_utf8(body) else { return false };
        if u32::try_from(text.len()).is_err() {
            return false;
        }
        let Some(root) = (Reader { bytes: body, at: 0 }).body(shape, &mut self.events) else { return false };
        bench.root = root;
        for places in &self.events {
            bench.judge(Ok(fields(text, places)));
        }
        true
    }
}

fn fields<'a>(text: &'a str, places: &Places) -> Fields<'a> {
    let mut values = [Value::Missing; Field::COUNT];
    for (value, place) in values.iter_mut().zip(places).filter(|(_, place)| place.start > 0) {
        *value = Value::Text(&text[place.start as usize..place.end as usize]);
    }
    if let Value::Text(text) = values[Field::Data as usize] {
        values[Field::Data as usize] = Value::Object(ObjectText { text, plain: true });
    }
    Fields::found(values)
}

/// The byte repeated eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Reads a body from left to right. Each step returns `None` where the body is not plain, or no JSON.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The whole body: the JSON pointer to its array of events, if it is a batch.
    fn body(&mut self, shape: Shape, events: &mut Vec<Places>) -> Option<Option<&'static str>> {
        self.space();
        let root = match shape {
            Shape::Single => {
                events.push(self.event()?);
                None
            }
            Shape::Batch { events_max } => {
                let is_object = self.take(b'{');
                if is_object {
                    self.space();
                    (self.name()? == b"events").then_some(())?;
                }
                self.events(events_max, events)?;
                if is_object {
                    self.space();
                    self.expect(b'}')?;
                }
                Some(if is_object { "/events" } else { "" })
            }
        };
        self.space();
        (self.at == self.bytes.len()).then_some(root)
    }

    fn events(&mut self, events_max: usize, events: &mut Vec<Places>) -> Option<()> {
        self.expect(b'[')?;
        loop {
            self.space();
            if events.len() == events_max {
                return None;
            }
            events.push(self.event()?);
            self.space();
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    fn event(&mut self) -> Option<Places> {
        let mut places = Places::default();
        let mut seen = 0_u8;
        self.expect(b'{')?;
        loop {
            self.space();
            let field = Field::from_bytes(self.name()?)?;
            // A second one is a fault, and has to be told.
            (seen & 1 << field as u8 == 0).then_some(())?;
            seen |= 1 << field as u8;
            let start = self.at;
            let place = match (self.peek()?, field) {
                (b'n', _) => {
                    self.word(b"null")?;
                    0..0
                }
                (b'{', Field::Data) => {
                    self.data()?;
                    start..self.at
                }
                (b'"', field) if field != Field::Data => self.string(false)?,
                _ => return None,
            };
            // A body has fewer bytes than a u32 counts.
            places[field as usize] = place.start as u32..place.end as u32;
            self.space();
            if !self.take(b',') {
                self.expect(b'}')?;
                return Some(places);
            }
        }
    }

    /// Steps over the object that begins here.
    fn data(&mut self) -> Option<()> {
        // The open objects and arrays: the innermost is the last bit, 1 for an object.
        let (mut levels, mut depth) = (0_u64, 0);
        loop {
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == DATA_DEPTH_MAX {
                        return None;
                    }
                    let is_object = open == b'{';
                    (levels, depth) = (levels << 1 | u64::from(is_object), depth + 1);
                    self.at += 1;
                    self.space();
                    if self.take(if is_object { b'}' } else { b']' }) {
                        (levels, depth) = (levels >> 1, depth - 1);
                    } else {
                        if is_object {
                            self.data_name()?;
                        }
                        continue;
                    }
                }
                b'"' => {
                    self.string(true)?;
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number()?,
            }
            // A value has ended: so may have those around it.
            loop {
                if depth == 0 {
                    return Some(());
                }
                let is_object = levels & 1 == 1;
                self.space();
                if self.take(b',') {
                    self.space();
                    if is_object {
                        self.data_name()?;
                    }
                    break;
                }
                self.expect(if is_object { b'}' } else { b']' })?;
                (levels, depth) = (levels >> 1, depth - 1);
            }
        }
    }

    /// Steps over a name without escapes, its colon, and the space behind that.
    fn name(&mut self) -> Option<&[u8]> {
        let name = self.string(false)?;
        self.colon()?;
        Some(&self.bytes[name])
    }

    fn data_name(&mut self) -> Option<()> {
        self.string(true)?;
        self.colon()
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        self.expect(b':')?;
        self.space();
        Some(())
    }

    /// Steps over a string, and says where it stands without its quotes.
    fn string(&mut self, may_escape: bool) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at = self.special()?;
            match self.bytes[self.at] {
                b'"' => break,
                b'\\' if may_escape => {
                    // What stands behind `\u` may be half a character.
                    matches!(self.bytes.get(self.at + 1)?, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
                        .then_some(())?;
                    self.at += 2;
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some(start..self.at - 1)
    }

    /// The next quote, backslash or control character, eight bytes at a time: most strings are short.
    fn special(&self) -> Option<usize> {
        let mut at = self.at;
        while let Some(bytes) = self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*bytes);
            let (quote, backslash) = (word ^ eight(b'"'), word ^ eight(b'\\'));
            // The high bit of the first byte that is 0, or below a space: a borrow reaches only later ones.
            let marks = ((quote.wrapping_sub(eight(1)) & !quote)
                | (backslash.wrapping_sub(eight(1)) & !backslash)
                | (word.wrapping_sub(eight(b' ')) & !word))
                & eight(0x80);
            if marks != 0 {
                return Some(at + marks.trailing_zeros() as usize / 8);
            }
            at += 8;
        }
        let rest = self.bytes.get(at..)?;
        Some(at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f))?)
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        // An exponent may make it too large.
        (!matches!(self.peek(), Some(b'e' | b'E')) && self.at - start <= NUMBER_BYTES_MAX).then_some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }
}
