//! Latencies as HDR histograms, from 1 µs to an hour.

use std::{sync::Mutex, time::Duration};

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::Serialize;

use super::lock;

const LONGEST: Duration = Duration::from_secs(3600);
const SIGNIFICANT_DIGITS: u8 = 2;

/// A histogram of latencies that one thread writes and others read now and then.
#[derive(Debug)]
pub(super) struct Latencies(Mutex<Histogram<u64>>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Mutex::new(empty()))
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants that the library takes")
}

impl Latencies {
    /// Adds latencies, each in µs and with how often it was seen; longer ones than an hour count as an hour.
    pub(super) fn record(&self, latencies_us: impl IntoIterator<Item = (u64, u64)>) {
        let mut histogram = lock(&self.0);
        for (latency_us, times) in latencies_us {
            histogram.saturating_record_n(latency_us, times);
        }
    }
}

/// The percentiles of several [`Latencies`] together.
pub(super) fn merge<'a>(all: impl Iterator<Item = &'a Latencies>) -> Percentiles {
    Percentiles::of(&Distribution::merge(all).0)
}

/// Values that were seen since the start, whole: in µs where they are times.
#[derive(Clone, Debug)]
pub struct Distribution(Histogram<u64>);

impl Distribution {
    pub(super) fn merge<'a>(all: impl Iterator<Item = &'a Latencies>) -> Self {
        let mut sum = empty();
        for latencies in all {
            // Both have the same bounds, so nothing can lie outside.
            let _ = sum.add(&*lock(&latencies.0));
        }
        Self(sum)
    }

    /// How many values were seen.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Their sum, to two significant digits.
    pub fn sum(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.mean() * self.0.len() as f64 }
    }

    /// For each of the bounds, which grow, how many values lay above the bound before it and not above it
    /// itself, to two significant digits; at the end how many lay above all of them.
    pub fn between(&self, bounds: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len() + 1];
        for seen in self.0.iter_recorded() {
            let place = bounds.partition_point(|bound| *bound < self.0.lowest_equivalent(seen.value_iterated_to()));
            counts[place] += seen.count_at_value();
        }
        counts
    }
}

/// A distribution of latencies, in ms; all zero where nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Percentiles {
    /// How many were recorded.
    pub count: u64,
    /// The arithmetic mean.
    pub mean: f64,
    /// Half were at most this.
    pub p50: f64,
    /// 90 % were at most this.
    pub p90: f64,
    /// 99 % were at most this.
    pub p99: f64,
    /// 99.9 % were at most this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    /// The same in a unit that is `factor` times smaller: 1000 for what is no time, but a count.
    pub(super) fn scaled(self, factor: f64) -> Self {
        let Self { count, mean, p50, p90, p99, p999, max } = self;
        let [mean, p50, p90, p99, p999, max] = [mean, p50, p90, p99, p999, max].map(|value| value * factor);
        Self { count, mean, p50, p90, p99, p999, max }
    }

    fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            mean: (histogram.mean()).round() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(histogram.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_two_writers_are_merged() {
        let (fast, slow) = (Latencies::default(), Latencies::default());
        fast.record([(1_000, 90)]);
        slow.record([(100_000, 10)]);
        let all = merge([&fast, &slow].into_iter());
        assert_eq!(all.count, 100);
        assert!((all.p50 - 1.0).abs() < 0.02, "{all:?}");
        assert!((all.p99 - 100.0).abs() < 2.0, "{all:?}");
        assert!((all.mean - 10.9).abs() < 0.2, "{all:?}");
    }

    #[test]
    fn latencies_beyond_an_hour_count_as_an_hour() {
        let latencies = Latencies::default();
        latencies.record([(u64::MAX, 1), (0, 1)]);
        let all = merge([&latencies].into_iter());
        assert_eq!(all.count, 2);
        assert!(all.max >= 3_600_000.0, "{all:?}");
    }

    #[test]
    fn a_distribution_counts_between_bounds_and_loses_nothing() {
        let latencies = Latencies::default();
        latencies.record([(1, 3), (1_000, 5), (1_001, 2), (50_000, 7), (u64::MAX, 1)]);
        let all = Distribution::merge([&latencies].into_iter());
        let counts = all.between(&[1, 1_100, 100_000]);
        assert_eq!(counts, [3, 7, 7, 1]);
        assert_eq!(all.count(), counts.iter().sum::<u64>());
        assert!((all.sum() - 3_600_357_000.0).abs() < 36_000_000.0, "{}", all.sum());
    }

    #[test]
    fn nothing_recorded_is_all_zero() {
        assert_eq!(merge([&Latencies::default()].into_iter()), Percentiles::default());
    }
}
