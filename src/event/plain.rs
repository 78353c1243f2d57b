//! The fastest way from a body to its events: one look at each byte, for bodies that are written plainly.
//!
//! Plain is what nearly every client sends: fields that are known and stand once, no escape in what the rules read,
//! and in `data` only short escapes, numbers without an exponent and few levels. The grammar of such a body is
//! checked to the letter. Of any other body this says nothing at all, and judges no event of it: the
//! [tape](super::tape) parser reads it then, from its beginning.
//!
//! It makes no copy and no tape. A pass over the body, which leaps from quote to quote, finds the fields as ranges of
//! it; only when the whole of it is known to be good JSON are the events judged, one after another.

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
        let Ok(text) = simdutf8::basic::from_utf8(body) else { return false };
        if u32::try_from(text.len()).is_err() {
            return false;
        }
        let Some(root) = (Reader { bytes: body, at: 0, marks: Marks::of(body) }).body(shape, &mut self.events) else {
            return false;
        };
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

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// The quotes and backslashes of a body, from left to right.
struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the block begins whose marks are in `bits`.
    block: usize,
    /// The marks that are still to come: the first byte of the block is the lowest bit.
    bits: u64,
    /// A control character was seen: it may be space, or stand in a string.
    controls: bool,
}

impl<'a> Marks<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut marks = Self { bytes, block: 0, bits: 0, controls: false };
        marks.look();
        marks
    }

    /// Looks at the block that begins at `block`.
    fn look(&mut self) {
        let rest = &self.bytes[self.block..];
        let mut padded = [b' '; BLOCK];
        let block = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        // Loops that the compiler makes vectors of.
        let marks: [u8; BLOCK] = block.map(|byte| u8::from(byte == b'"') | u8::from(byte == b'\\'));
        self.controls |= block.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ';
        let (words, _) = marks.as_chunks::<8>();
        self.bits = words.iter().rev().fold(0, |bits, word| {
            // The product has the lowest bits of the eight bytes in its highest byte, the first the lowest.
            bits << 8 | u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56
        });
    }

    /// Steps to the next one.
    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.bits == 0 {
            self.refill()?;
        }
        let at = self.block + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(at)
    }

    /// Steps to the next block that has any.
    #[inline(never)]
    fn refill(&mut self) -> Option<()> {
        while self.bits == 0 {
            if self.bytes.len() - self.block <= BLOCK {
                return None;
            }
            self.block += BLOCK;
            self.look();
        }
        Some(())
    }
}

/// Reads a body from left to right. Each step returns `None` where the body is not plain, or no JSON.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    marks: Marks<'a>,
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
    #[inline]
    fn string(&mut self, may_escape: bool) -> Option<Range<usize>> {
        (self.marks.next()? == self.at).then_some(())?;
        let start = self.at + 1;
        let mut end = self.marks.next()?;
        if self.bytes.get(end) != Some(&b'"') {
            may_escape.then_some(())?;
            end = self.behind_escapes(end)?;
        }
        // All blocks up to the closing quote have been looked at.
        if self.marks.controls {
            self.no_control(start..end)?;
        }
        self.at = end + 1;
        Some(start..end)
    }

    /// The closing quote of the string that has its first backslash at `at`.
    #[cold]
    fn behind_escapes(&mut self, mut at: usize) -> Option<usize> {
        while self.bytes[at] == b'\\' {
            match self.bytes.get(at + 1)? {
                b'"' | b'\\' => self.marks.next().map(drop)?,
                b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                // What stands behind `\u` may be half a character.
                _ => return None,
            }
            at = self.marks.next()?;
        }
        Some(at)
    }

    #[cold]
    fn no_control(&self, string: Range<usize>) -> Option<()> {
        self.bytes[string].iter().all(|byte| *byte >= b' ').then_some(())
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
        // Most often there is none.
        if self.peek().is_some_and(|byte| byte > b' ') {
            return;
        }
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
