//! Cursors as text: where each stream of the next page begins, bound to the filter of the pages before.
//!
//! One version byte, eight bytes of a checksum over filter and places, and the places, in the URL-safe alphabet of
//! Base64. The checksum tells a cursor that was cut, changed or used with another filter. It keeps no secret and
//! grants nothing: a forged cursor leads to rows that any filter could name.

use std::hash::Hasher as _;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use siphasher::sip::SipHasher13;
use thiserror::Error;

use super::{
    Filter,
    pager::{Begin, Place, streams},
};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// A text that is no cursor of this filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the cursor is not the `next_cursor` of a page with the same `type`, `user_id`, `source`, `from` and `to`")]
pub struct BadCursor;

/// The cursor by which pages of this filter go on at these places.
pub(super) fn encode(filter: &Filter, begins: &[Option<Begin>]) -> String {
    let mut places = Vec::new();
    for begin in begins {
        match begin {
            None => places.push(0),
            Some(Begin::Newest) => places.push(1),
            Some(Begin::Before(created_at)) => put(&mut places, 2, &[created_at]),
            Some(Begin::NotAfter(created_at)) => put(&mut places, 3, &[created_at]),
            Some(Begin::Behind(Place { created_at, tie })) => put(&mut places, 4, &[created_at, tie]),
        }
    }
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&checksum(filter, &places));
    bytes.extend_from_slice(&places);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The places that a cursor of this filter stands for.
pub(super) fn decode(cursor: &str, filter: &Filter) -> Result<Vec<Option<Begin>>, BadCursor> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
    let (&version, bytes) = bytes.split_first().ok_or(BadCursor)?;
    let (sum, places) = bytes.split_first_chunk::<CHECKSUM_BYTES>().ok_or(BadCursor)?;
    if version != VERSION || *sum != checksum(filter, places) {
        return Err(BadCursor);
    }
    let mut rest = Rest(places);
    let begins = streams(filter).map(|_| rest.begin()).collect::<Result<_, _>>()?;
    if rest.0.is_empty() { Ok(begins) } else { Err(BadCursor) }
}

fn put(bytes: &mut Vec<u8>, kind: u8, texts: &[&Vec<u8>]) {
    bytes.push(kind);
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text);
    }
}

/// What is left of a cursor's places.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn begin(&mut self) -> Result<Option<Begin>, BadCursor> {
        let (&kind, rest) = self.0.split_first().ok_or(BadCursor)?;
        self.0 = rest;
        Ok(Some(match kind {
            0 => return Ok(None),
            1 => Begin::Newest,
            2 => Begin::Before(self.text()?),
            3 => Begin::NotAfter(self.text()?),
            4 => Begin::Behind(Place { created_at: self.text()?, tie: self.text()? }),
            _ => return Err(BadCursor),
        }))
    }

    fn text(&mut self) -> Result<Vec<u8>, BadCursor> {
        let (len, rest) = self.0.split_first_chunk().ok_or(BadCursor)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| BadCursor)?;
        let (text, rest) = rest.split_at_checked(len).ok_or(BadCursor)?;
        self.0 = rest;
        Ok(text.to_vec())
    }
}

/// The same on every node and in every build: nodes behind a balancer take each other's cursors.
fn checksum(filter: &Filter, places: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let Filter { kind, user_id, source, from_s, until_s } = filter;
    let mut hasher = SipHasher13::new();
    let mut add = |part: Option<&[u8]>| {
        // So that no two filters are written alike.
        hasher.write(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hasher.write(part.unwrap_or_default());
    };
    add(kind.map(|kind| kind.as_str().as_bytes()));
    add(user_id.as_deref().map(str::as_bytes));
    add(source.map(|source| source.as_str().as_bytes()));
    add(from_s.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    add(until_s.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    add(Some(places));
    hasher.finish().to_be_bytes()
}
