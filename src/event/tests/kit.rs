//! Judging a body in a test: always every way, which must agree.

use proptest::test_runner::{Config, RngSeed};
use uuid::Uuid;

use crate::event::bench::Bench;
use crate::event::plain::PlainParser;
use crate::event::tape::TapeParser;
use crate::event::{
    BodyError, Code, ContractOnly, Event, EventType, Judged, Micros, Parser, Receipt, Rejection, Shape, Source, Stamp,
    Validator, strict,
};

/// When every body of these tests was received: 2026-01-15T10:30:00.000123Z.
pub(super) const RECEIVED: Micros = Micros(1_768_473_000_000_123);

/// Most events in a batch of these tests.
pub(super) const EVENTS_MAX: usize = 100;

pub(super) const BATCH: Shape = Shape::Batch { events_max: EVENTS_MAX };

/// Ids made from the index, receipts counted from 1.
#[derive(Default)]
pub(super) struct TestStamp {
    receipts: u128,
}

impl Stamp for TestStamp {
    fn received(&self) -> Micros {
        RECEIVED
    }

    fn id(&mut self, index: usize, _: Option<&str>) -> Uuid {
        made_id(index)
    }

    fn receipt(&mut self) -> Receipt {
        self.receipts += 1;
        Receipt(self.receipts)
    }
}

/// The id that the event at `index` gets where it has none.
pub(super) fn made_id(index: usize) -> Uuid {
    Uuid::from_u128(0xfeed_0000 + index as u128)
}

/// An accepted event, for keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) index: usize,
    pub(super) id: Uuid,
    pub(super) kind: EventType,
    pub(super) source: Source,
    pub(super) user_id: Option<String>,
    pub(super) timestamp: Option<String>,
    pub(super) occurred: Micros,
    pub(super) received: Micros,
    pub(super) receipt: Receipt,
    pub(super) data: String,
}

impl Taken {
    fn new(index: usize, event: &Event<'_>) -> Self {
        Self {
            index,
            id: event.id,
            kind: event.kind,
            source: event.source,
            user_id: event.user_id.map(str::to_owned),
            timestamp: event.timestamp.map(str::to_owned),
            occurred: event.occurred,
            received: event.received,
            receipt: event.receipt,
            data: event.data.to_owned(),
        }
    }
}

/// What became of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) taken: Vec<Taken>,
    pub(super) result: Result<Judged, BodyError>,
}

/// An [`Outcome`] in short, as tables name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// Every event was taken: this many.
    Taken(usize),
    /// These were rejected: index, code and pointer.
    Rejected(Vec<(usize, Code, String)>),
    /// The body was refused: code and pointer.
    Refused(Code, String),
    Empty,
    TooMany(usize),
}

/// Only the first event was rejected.
pub(super) fn rejected(code: Code, pointer: &str) -> Short {
    Short::Rejected(vec![(0, code, pointer.to_owned())])
}

pub(super) fn refused(code: Code, pointer: &str) -> Short {
    Short::Refused(code, pointer.to_owned())
}

impl Outcome {
    pub(super) fn short(&self) -> Short {
        let name = |rejection: &Rejection| (rejection.index, rejection.code, rejection.pointer.clone());
        match &self.result {
            Ok(judged) if judged.rejections.is_empty() => Short::Taken(judged.received),
            Ok(judged) => Short::Rejected(judged.rejections.iter().map(name).collect()),
            Err(BodyError::Refused { code, pointer, .. }) => Short::Refused(*code, pointer.clone()),
            Err(BodyError::Empty) => Short::Empty,
            Err(BodyError::TooMany { events, events_max }) => {
                assert_eq!(*events_max, EVENTS_MAX);
                Short::TooMany(*events)
            }
        }
    }

    /// The body's only event, which was taken.
    pub(super) fn only(&self) -> &Taken {
        assert_eq!(self.short(), Short::Taken(1), "{:?}", self.result);
        &self.taken[0]
    }

    /// The sentence of the first rejection, or of the refusal.
    pub(super) fn detail(&self) -> &str {
        match &self.result {
            Ok(judged) => &judged.rejections[0].detail,
            Err(BodyError::Refused { detail, .. }) => detail,
            Err(other) => panic!("{other:?} has no detail"),
        }
    }
}

/// Judges `body` by the contract, with the parser and with each of its parts that takes the body.
pub(super) fn judge(body: impl AsRef<[u8]>, shape: Shape) -> Outcome {
    judge_with(&mut Parser::default(), body, shape)
}

/// The same with a parser that has seen other bodies.
pub(super) fn judge_with(parser: &mut Parser, body: impl AsRef<[u8]>, shape: Shape) -> Outcome {
    let body = body.as_ref();
    let outcome =
        collect(&ContractOnly, |stamp, validator, accept| parser.judge(body, shape, stamp, validator, accept));
    let strict = collect(&ContractOnly, |stamp, validator, accept| {
        let mut bench = Bench { root: None, stamp, validator, accept, judged: Judged::default() };
        strict::judge(body, shape, &mut bench).map(|()| bench.judged)
    });
    assert_eq!(outcome, strict, "the strict part judges otherwise: {}", String::from_utf8_lossy(body));
    if let Some(plain) = judged_if_taken(|bench| PlainParser::default().judge(body, shape, bench)) {
        assert_eq!(outcome, plain, "the plain part judges otherwise: {}", String::from_utf8_lossy(body));
    }
    if let Some(tape) = judged_if_taken(|bench| TapeParser::default().judge(body, shape, bench)) {
        assert_eq!(outcome, tape, "the tape judges otherwise: {}", String::from_utf8_lossy(body));
    }
    outcome
}

/// Judges `body` by a validator's rules too.
pub(super) fn judge_by(validator: &dyn Validator, body: &str, shape: Shape) -> Outcome {
    collect(validator, |stamp, validator, accept| {
        Parser::default().judge(body.as_bytes(), shape, stamp, validator, accept)
    })
}

/// Whether the parser for plain bodies takes `body`.
pub(super) fn is_plain(body: &str, shape: Shape) -> bool {
    judged_if_taken(|bench| PlainParser::default().judge(body.as_bytes(), shape, bench)).is_some()
}

/// Whether `body` can do without the strict part, also where it is not plain.
pub(super) fn is_fast(body: &str, shape: Shape) -> bool {
    judge_fast(&mut TapeParser::default(), body, shape)
}

/// Judges `body` with the tape alone, if that takes it.
pub(super) fn judge_fast(parser: &mut TapeParser, body: &str, shape: Shape) -> bool {
    judged_if_taken(|bench| parser.judge(body.as_bytes(), shape, bench)).is_some()
}

/// What a part of the parser makes of a body; `None` where it does not take it, and then it judged nothing.
fn judged_if_taken(judge: impl FnOnce(&mut Bench<'_>) -> bool) -> Option<Outcome> {
    let mut is_taken = false;
    let outcome = collect(&ContractOnly, |stamp, validator, accept| {
        let mut bench = Bench { root: None, stamp, validator, accept, judged: Judged::default() };
        is_taken = judge(&mut bench);
        Ok(bench.judged)
    });
    if !is_taken {
        assert_eq!((outcome.taken.len(), outcome.result), (0, Ok(Judged::default())), "something was judged");
        return None;
    }
    Some(outcome)
}

fn collect(
    validator: &dyn Validator,
    run: impl FnOnce(&mut dyn Stamp, &dyn Validator, &mut dyn FnMut(usize, &Event<'_>)) -> Result<Judged, BodyError>,
) -> Outcome {
    let mut taken = Vec::new();
    let result = run(&mut TestStamp::default(), validator, &mut |index, event| taken.push(Taken::new(index, event)));
    match &result {
        Ok(judged) => {
            assert_eq!(judged.received, judged.rejections.len() + taken.len(), "every event is one or the other")
        }
        Err(_) => assert!(taken.is_empty(), "nothing may be taken of a body that is refused"),
    }
    Outcome { taken, result }
}

/// A good event with `fields` beside the required ones, such as `"user_id":"ada"`.
pub(super) fn event_with(fields: &str) -> String {
    format!(r#"{{"type":"user_action","source":"web",{fields}}}"#)
}

/// A good event with that `data`.
pub(super) fn event_with_data(data: &str) -> String {
    event_with(&format!(r#""data":{data}"#))
}

/// `data` nested `depth` deep, itself counted.
pub(super) fn nested(depth: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}

/// At least `count` cases, the same on every run unless `PROPTEST_RNG_SEED` asks for others.
pub(super) fn cases(count: u32) -> Config {
    let config = Config::default();
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0x5eed),
        chosen @ RngSeed::Fixed(_) => chosen,
    };
    Config { cases: config.cases.max(count), rng_seed, failure_persistence: None, ..config }
}
