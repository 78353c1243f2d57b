//! Sides in turns, and what is said of many measurements: the median, and how far they lie apart.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::say;

/// What measures a side once.
pub(crate) struct Side<'a, T> {
    pub(crate) label: String,
    pub(crate) measure: Box<dyn FnMut() -> Result<T> + 'a>,
}

impl<'a, T> Side<'a, T> {
    pub(crate) fn new(label: impl Into<String>, measure: impl FnMut() -> Result<T> + 'a) -> Self {
        Self { label: label.into(), measure: Box::new(measure) }
    }
}

/// Measures every side once a round, forth in one round and back in the next, so that what else the
/// machine does falls on all alike. The answer has the measurements of each side, in its order.
pub(crate) fn interleaved<T>(rounds: usize, sides: &mut [Side<'_, T>]) -> Result<Vec<Vec<T>>> {
    let mut measured: Vec<Vec<T>> = sides.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let Side { label, measure } = &mut sides[index];
            say(format_args!("  round {} of {rounds}: {label}", round + 1));
            measured[index].push(measure().with_context(|| format!("side {label}"))?);
        }
    }
    Ok(measured)
}

/// Measurements of one thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    /// What was measured.
    pub(crate) label: String,
    /// In which unit.
    pub(crate) unit: String,
    /// One value of each round.
    pub(crate) values: Vec<f64>,
}

impl Series {
    pub(crate) fn new(label: impl Into<String>, unit: &str, values: impl IntoIterator<Item = f64>) -> Self {
        Self { label: label.into(), unit: unit.to_owned(), values: values.into_iter().collect() }
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.values)
    }
}

/// The middle value; of an even number the mean of the middle two. 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The least and the greatest value; zeros of none.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
    (least, values.iter().copied().reduce(f64::max).unwrap_or(0.0))
}
