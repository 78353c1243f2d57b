//! From a request's body to its events, each judged alone.
//!
//! A body that is written plainly, as nearly all are, is read once, where it lies. Any other is parsed
//! by simd-json, in a copy; the body itself stays as it was sent, and `data` is cut out of it. Whatever
//! that parser refuses, and whatever is not shaped like events, is read again by the strict scanner,
//! which finds the one event that is to blame or says where the grammar is broken. All three end in the
//! same rules, and in the same answers.

use super::bench::{Bench, BodyError, Judged, Shape, Stamp};
use super::plain::PlainParser;
use super::strict;
use super::tape::TapeParser;
use super::{Event, Validator};

/// Parses and judges bodies, with buffers that are used again for the next.
#[derive(Debug, Default)]
pub struct Parser {
    plain: PlainParser,
    tape: TapeParser,
}

impl Parser {
    /// Judges every event of `body` and hands the good ones to `accept`, in order, with their
    /// index.
    ///
    /// # Errors
    /// [`BodyError`] where the body as a whole is refused; then `accept` was not called.
    pub fn judge(
        &mut self,
        body: &[u8],
        shape: Shape,
        stamp: &mut dyn Stamp,
        validator: &dyn Validator,
        accept: &mut dyn FnMut(usize, &Event<'_>),
    ) -> Result<Judged, BodyError> {
        let mut bench = Bench { root: None, stamp, validator, accept, judged: Judged::default() };
        if !self.plain.judge(body, shape, &mut bench) && !self.tape.judge(body, shape, &mut bench) {
            strict::judge(body, shape, &mut bench)?;
        }
        Ok(bench.judged)
    }
}
