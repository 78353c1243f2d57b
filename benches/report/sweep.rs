//! One figure after another grows, and all else stays: measured in turns over all its values.

use std::rc::Rc;

use anyhow::Result;

use crate::{
    load::{Load, Sample},
    plan::Plan,
    record::{Line, Panel},
    rounds::{Side, interleaved},
    service::Process,
};

/// One value, and where what load goes then.
pub(crate) struct Point {
    pub(crate) line: &'static str,
    pub(crate) x: f64,
    pub(crate) process: Rc<Process>,
    pub(crate) load: Load,
}

/// The measurements at one point.
pub(crate) struct Measured {
    pub(crate) line: &'static str,
    pub(crate) x: f64,
    pub(crate) load: Load,
    pub(crate) samples: Vec<Sample>,
}

/// Measures at every point once a round.
pub(crate) fn sweep(plan: &Plan, rounds: usize, points: Vec<Point>) -> Result<Vec<Measured>> {
    let mut sides: Vec<_> = points
        .iter()
        .map(|point| Side::new(format!("{} at {}", point.line, point.x), || point.load.measure(&point.process)))
        .collect();
    let measured = interleaved(plan.rounds(rounds), &mut sides)?;
    drop(sides);
    let with =
        |(point, samples): (Point, Vec<Sample>)| Measured { line: point.line, x: point.x, load: point.load, samples };
    Ok(points.into_iter().zip(measured).map(with).collect())
}

/// A chart of one figure of the samples; points of one line follow each other.
pub(crate) fn panel(unit: &str, measured: &[Measured], value: impl Fn(&Measured, &Sample) -> f64) -> Panel {
    let lines = measured.chunk_by(|a, b| a.line == b.line).map(|points| Line {
        label: points[0].line.to_owned(),
        points: points
            .iter()
            .map(|point| (point.x, point.samples.iter().map(|sample| value(point, sample)).collect()))
            .collect(),
    });
    Panel { unit: unit.to_owned(), lines: lines.collect() }
}

/// The two charts that every curve has.
pub(crate) fn panels(measured: &[Measured]) -> Vec<Panel> {
    vec![panel("events/s", measured, |_, sample| sample.rate), panel("p99, ms", measured, |_, sample| sample.p99_ms)]
}
