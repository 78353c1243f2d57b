//! A strict, string-aware scanner of JSON text (RFC 8259), for bodies that the fast parser
//! refuses as a whole.
//!
//! It checks the grammar to the letter and says where it is broken, then finds members,
//! elements and tokens. Nothing recurses and every pass is linear, whatever the text: nesting
//! costs one bit a level. It judges no values; lone surrogates and huge numbers pass.

use memchr::{memchr, memchr2};
use smallvec::SmallVec;

/// Where a text stops being JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) offset: usize,
    pub(super) what: &'static str,
}

/// The one value that `body` is, without the space around it.
pub(super) fn check(body: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Malformed { offset: error.valid_up_to(), what: "the text is not UTF-8" })?;
    if text.starts_with('\u{feff}') {
        return Err(Malformed { offset: 0, what: "the text begins with a byte order mark" });
    }
    let mut scanner = Scanner { text, at: 0 };
    let value = scanner.value()?;
    scanner.space();
    if scanner.at < text.len() { Err(scanner.broken("expected the end")) } else { Ok(value) }
}

/// The open objects and arrays, one bit each: set for an object.
#[derive(Default)]
struct Nest {
    bits: SmallVec<[u64; 4]>,
    depth: usize,
}

impl Nest {
    fn open(&mut self, object: bool) {
        if self.depth / 64 == self.bits.len() {
            self.bits.push(0);
        }
        let word = &mut self.bits[self.depth / 64];
        *word = *word & !(1 << (self.depth % 64)) | u64::from(object) << (self.depth % 64);
        self.depth += 1;
    }

    fn innermost_is_object(&self) -> Option<bool> {
        let level = self.depth.checked_sub(1)?;
        Some(self.bits[level / 64] >> (level % 64) & 1 == 1)
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn broken(&self, what: &'static str) -> Malformed {
        Malformed { offset: self.at, what }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte`, if it comes next after any space.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over the next value and any space before it.
    fn value(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        let start = self.at;
        let mut nest = Nest::default();
        loop {
            self.space();
            let opened = self.scalar_or_open()?;
            if let Some(object) = opened {
                nest.open(object);
                if self.take(if object { b'}' } else { b']' }) {
                    nest.depth -= 1;
                } else {
                    if object {
                        self.key()?;
                    }
                    continue;
                }
            }
            // A value has ended: so may have the ones around it.
            loop {
                let Some(object) = nest.innermost_is_object() else {
                    return Ok(&self.text[start..self.at]);
                };
                if self.take(b',') {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                if !self.take(if object { b'}' } else { b']' }) {
                    return Err(self.broken(if object { "expected ',' or '}'" } else { "expected ',' or ']'" }));
                }
                nest.depth -= 1;
            }
        }
    }

    /// Steps over a value that holds no other, or into one that does: then whether it is an
    /// object.
    fn scalar_or_open(&mut self) -> Result<Option<bool>, Malformed> {
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                self.at += 1;
                return Ok(Some(open == b'{'));
            }
            Some(b'"') => drop(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let literals: [&[u8]; 3] = [b"true", b"false", b"null"];
                let literal = literals.into_iter().find(|literal| rest.starts_with(literal));
                self.at += literal.ok_or(self.broken("expected a value"))?.len();
            }
        }
        Ok(None)
    }

    /// Steps over a name and its colon.
    fn key(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.broken("expected a name in quotes"));
        }
        let name = self.string()?;
        if self.take(b':') { Ok(name) } else { Err(self.broken("expected ':'")) }
    }

    /// Steps over the string that begins here and returns what is within its quotes.
    fn string(&mut self) -> Result<&'a str, Malformed> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f)).unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.broken("a control character stands in a string")),
                None => return Err(self.broken("expected the string's closing quote")),
            }
        }
        self.at += 1;
        Ok(&self.text[start..self.at - 1])
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let escape = &self.text.as_bytes()[self.at + 1..];
        self.at += match escape {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(self.broken("an escape that JSON does not know stands")),
        };
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.broken("expected a digit")) } else { Ok(()) }
    }
}

/// The members of an object that [`check`] let pass: what is within the quotes of the name, and
/// the value's text.
pub(super) fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut scanner = Scanner { text: object, at: 1 };
    std::iter::from_fn(move || {
        let name = scanner.key().ok()?;
        let value = scanner.value().ok()?;
        scanner.take(b',');
        Some((name, value))
    })
}

/// The elements of an array that [`check`] let pass.
pub(super) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let mut scanner = Scanner { text: array, at: 1 };
    std::iter::from_fn(move || {
        let element = scanner.value().ok()?;
        scanner.take(b',');
        Some(element)
    })
}

/// What [`tokens`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// A name, without its quotes.
    Key(&'a str),
    /// A string that is no name, without its quotes.
    Text(&'a str),
    /// A number.
    Number(&'a str),
}

/// The tokens that matter to the rules, of a value that [`check`] let pass.
pub(super) fn tokens(value: &str) -> impl Iterator<Item = Token<'_>> {
    let mut scanner = Scanner { text: value, at: 0 };
    std::iter::from_fn(move || {
        loop {
            let start = scanner.at;
            let token = match scanner.peek()? {
                b'{' | b'[' => Token::Open,
                b'}' | b']' => Token::Close,
                b'"' => {
                    let text = quoted(&value[start..]);
                    scanner.at += text.len() + 2;
                    return Some(if scanner.take(b':') { Token::Key(text) } else { Token::Text(text) });
                }
                b'-' | b'0'..=b'9' => {
                    scanner.number().ok()?;
                    return Some(Token::Number(&value[start..scanner.at]));
                }
                _ => {
                    scanner.at += 1;
                    continue;
                }
            };
            scanner.at += 1;
            return Some(token);
        }
    })
}

/// What is within the quotes of the string that `text` begins with.
fn quoted(text: &str) -> &str {
    let mut at = 1;
    while let Some(found) = memchr2(b'"', b'\\', text.as_bytes().get(at..).unwrap_or_default()) {
        at += found;
        if text.as_bytes()[at] == b'"' {
            return &text[1..at];
        }
        at += 2;
    }
    &text[1..]
}

/// Appends to `out` what `raw`, the inside of a string, stands for; false where a surrogate in
/// it is lone.
#[must_use]
pub(super) fn unescape(raw: &str, out: &mut String) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let meant = match escape.as_bytes().first() {
            Some(b'u') => code_point(escape),
            Some(b'b') => Some(('\u{8}', 1)),
            Some(b'f') => Some(('\u{c}', 1)),
            Some(b'n') => Some(('\n', 1)),
            Some(b'r') => Some(('\r', 1)),
            Some(b't') => Some(('\t', 1)),
            Some(other) => Some((char::from(*other), 1)),
            None => None,
        };
        let Some((character, length)) = meant else {
            return false;
        };
        out.push(character);
        rest = &escape[length..];
    }
    out.push_str(rest);
    true
}

/// The character that `uXXXX` or `uXXXX\uXXXX` stands for, and the length of that.
fn code_point(escape: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(escape.get(at..at + 4)?, 16).ok();
    let high = unit(1)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, 5));
    }
    let low = escape.get(5..)?.starts_with("\\u").then(|| unit(7))??;
    if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 11))
}
