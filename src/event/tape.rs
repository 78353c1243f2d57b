//! The way from any good body to its events: simd-json's tape, walked once.
//!
//! The tape says what the body means, the structural marks say where it stands. Both list the
//! same tokens in the same order, the marks with punctuation and the tape without, so that the
//! extent of an object in the body follows from counting. A body that this does not take is
//! left to the strict parser; until then nothing was judged.

use std::fmt;
use std::mem;

use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape};

use super::DATA_DEPTH_MAX;
use super::bench::{Bench, Shape};
use super::rules::{Fault, Fields, ObjectText, Value};

/// Deepest body that is parsed here; deeper ones have a bad event and are left to the strict
/// parser.
const DEPTH_MAX: usize = 64;

/// Largest body after which the buffers are kept: they take some thirty times its length where
/// it is all punctuation.
const KEPT_BODY_BYTES_MAX: usize = 256 << 10;

/// The buffers that simd-json needs, used again for the next body.
pub(super) struct TapeParser {
    /// A copy of the body, in which strings are unescaped.
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for TapeParser {
    fn default() -> Self {
        Self { copy: Vec::new(), buffers: Buffers::with_max_depth(0, DEPTH_MAX), tape: Tape(Vec::new()) }
    }
}

impl fmt::Debug for TapeParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapeParser").field("copy_bytes", &self.copy.len()).finish_non_exhaustive()
    }
}

impl TapeParser {
    /// Judges every event of `body`, or returns false without having judged any.
    pub(super) fn judge(&mut self, body: &[u8], shape: Shape, bench: &mut Bench<'_>) -> bool {
        self.copy.clear();
        self.copy.reserve(body.len() + INPUT_PADDING);
        self.copy.extend_from_slice(body);
        self.copy.resize(body.len() + INPUT_PADDING, b' ');
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(&mut self.copy, body.len(), &mut self.buffers, &mut tape);
        let walk = Walk { nodes: &tape.0, marks: self.buffers.structural_indexes(), body };
        let judged = parsed.is_ok() && walk.judge(shape, bench);
        self.tape = tape.reset();
        if body.len() > KEPT_BODY_BYTES_MAX {
            *self = Self::default();
        }
        judged
    }
}

#[cfg(test)]
impl TapeParser {
    /// Memory that is kept for the next body, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        let marks = size_of_val(self.buffers.structural_indexes());
        self.copy.capacity() + self.tape.0.capacity() * size_of::<Node<'_>>() + marks
    }
}

/// A place on the tape and among the marks.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    mark: usize,
}

impl Place {
    fn after(self, nodes: usize, marks: usize) -> Self {
        Self { node: self.node + nodes, mark: self.mark + marks }
    }
}

/// How far a value reaches.
struct Extent {
    marks: usize,
    /// It holds nothing that a closer look could find fault with, but for its keys.
    plain: bool,
}

/// A parsed body. All its indices are in range, for simd-json filled tape and marks from one
/// good text.
struct Walk<'a> {
    nodes: &'a [Node<'a>],
    marks: &'a [u32],
    body: &'a [u8],
}

impl<'a> Walk<'a> {
    fn judge(&self, shape: Shape, bench: &mut Bench<'_>) -> bool {
        match (shape, self.nodes) {
            (Shape::Single, [Node::Object { .. }, ..]) => {
                self.judge_event(Place { node: 0, mark: 0 }, bench);
                true
            }
            (Shape::Batch { events_max }, [Node::Array { len, .. }, ..]) if (1..=events_max).contains(len) => {
                bench.root = Some("");
                self.judge_events(Place { node: 0, mark: 0 }, *len, bench);
                true
            }
            (
                Shape::Batch { events_max },
                [Node::Object { len: 1, .. }, Node::String("events"), Node::Array { len, .. }, ..],
            ) if (1..=events_max).contains(len) => {
                bench.root = Some("/events");
                // The marks before the array are `{`, the name and `:`.
                self.judge_events(Place { node: 2, mark: 3 }, *len, bench);
                true
            }
            _ => false,
        }
    }

    fn judge_events(&self, array: Place, len: usize, bench: &mut Bench<'_>) {
        let mut place = array.after(1, 1);
        for _ in 0..len {
            // One mark is the comma, or the array's end.
            place = self.judge_event(place, bench).after(0, 1);
        }
    }

    /// Judges the event at `place` and returns the place after it.
    fn judge_event(&self, place: Place, bench: &mut Bench<'_>) -> Place {
        let Node::Object { len, count } = self.nodes[place.node] else {
            bench.judge(Err(Fault::not_an_object()));
            let (nodes, extent) = self.extent(place.node);
            return place.after(nodes, extent.marks);
        };
        let mut fields = Fields::default();
        let mut at = place.after(1, 1);
        for _ in 0..len {
            let Node::String(name) = self.nodes[at.node] else {
                unreachable!("simd-json puts only strings where names stand")
            };
            // The marks of a member are its name, `:`, those of the value, and `,` or `}`.
            let value_at = at.after(1, 2);
            let (nodes, extent) = self.extent(value_at.node);
            fields.put(name, self.value(value_at, &extent));
            at = value_at.after(nodes, extent.marks + 1);
        }
        bench.judge(Ok(fields));
        place.after(1 + count, if len == 0 { 2 } else { at.mark - place.mark })
    }

    fn value(&self, at: Place, extent: &Extent) -> Value<'a> {
        match self.nodes[at.node] {
            Node::String(text) => Value::Text(text),
            Node::Static(StaticNode::Null) => Value::Missing,
            Node::Object { .. } => {
                let (start, end) = (self.marks[at.mark], self.marks[at.mark + extent.marks - 1]);
                let text = std::str::from_utf8(&self.body[start as usize..=end as usize])
                    .expect("simd-json has checked that the body is UTF-8");
                Value::Object(ObjectText { text, plain: extent.plain })
            }
            Node::Array { .. } | Node::Static(_) => Value::Other,
        }
    }

    /// The number of nodes of the value at `node`, and its extent.
    fn extent(&self, node: usize) -> (usize, Extent) {
        let nodes = match self.nodes[node] {
            Node::Object { count, .. } | Node::Array { count, .. } => 1 + count,
            Node::String(_) | Node::Static(_) => return (1, Extent { marks: 1, plain: true }),
        };
        let mut marks = 0;
        let mut levels_at_most = 0;
        let mut has_zero = false;
        for node in &self.nodes[node..node + nodes] {
            match *node {
                Node::String(_) => marks += 1,
                Node::Static(value) => {
                    marks += 1;
                    has_zero |= matches!(value, StaticNode::F64(0.0));
                }
                // Its brackets, and `,` between what it holds.
                Node::Array { len, .. } => {
                    marks += 2 + len.saturating_sub(1);
                    levels_at_most += 1;
                }
                // Also a `:` for each member.
                Node::Object { len, .. } => {
                    marks += 2 + len + len.saturating_sub(1);
                    levels_at_most += 1;
                }
            }
        }
        (nodes, Extent { marks, plain: levels_at_most <= DATA_DEPTH_MAX && !has_zero })
    }
}
