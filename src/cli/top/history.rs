//! Rates: what two samples one after the other say together, and the last few hundred of them.

use std::{collections::VecDeque, time::Instant};

use super::figures::{Figures, Shard};

/// More than the widest terminal shows.
const LENGTH_MAX: usize = 1024;
/// Beyond this a rate is no rate; and what is drawn multiplies it.
const RATE_MAX: f64 = 1e12;

/// Events a second; `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) received: Option<f64>,
    pub(super) stored: Option<f64>,
}

/// The rates so far.
#[derive(Debug, Default)]
pub(super) struct History {
    all: VecDeque<Rates>,
    shards: Vec<Rates>,
    last: Option<(Instant, Figures)>,
}

impl History {
    /// Notes what was seen at a moment. After a restart of the service, whose counts begin anew, nothing is
    /// known until the next.
    pub(super) fn add(&mut self, at: Instant, figures: &Figures) {
        self.shards.clear();
        if let Some((before_at, before)) = &self.last {
            let seconds = at.saturating_duration_since(*before_at).as_secs_f64();
            let rate = |before: Option<u64>, now: Option<u64>| {
                let events = now?.checked_sub(before?)?;
                (seconds > 0.0).then(|| (events as f64 / seconds).min(RATE_MAX))
            };
            let all = Rates {
                received: rate(before.received, figures.received),
                stored: rate(before.processed, figures.processed),
            };
            let of_shard = |(before, now): (&Shard, &Shard)| Rates {
                received: rate(before.received, now.received),
                stored: rate(before.processed, now.processed),
            };
            self.shards.extend(before.shards.iter().zip(&figures.shards).map(of_shard));
            self.push(all);
        }
        self.last = Some((at, figures.clone()));
    }

    /// Notes that nothing was seen.
    pub(super) fn add_gap(&mut self) {
        self.shards.clear();
        self.last = None;
        self.push(Rates::default());
    }

    fn push(&mut self, rates: Rates) {
        if self.all.len() == LENGTH_MAX {
            self.all.pop_front();
        }
        self.all.push_back(rates);
    }

    /// The newest rates.
    pub(super) fn now(&self) -> Rates {
        self.all.back().copied().unwrap_or_default()
    }

    /// The newest rates of a shard, by its place in the service's list.
    pub(super) fn shard(&self, index: usize) -> Rates {
        self.shards.get(index).copied().unwrap_or_default()
    }

    /// The newest rates, `length_max` at most, the oldest first.
    pub(super) fn newest(&self, length_max: usize) -> impl Iterator<Item = Rates> + '_ {
        self.all.iter().skip(self.all.len().saturating_sub(length_max)).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(received: u64, processed: u64) -> Figures {
        let shard = Shard { received: Some(received), processed: Some(processed), ..Shard::default() };
        Figures {
            received: Some(received),
            processed: Some(processed),
            shards: vec![shard.clone(), shard],
            ..Figures::default()
        }
    }

    #[test]
    fn a_rate_is_what_was_counted_over_the_time_it_took() {
        let (mut history, begin) = (History::default(), Instant::now());
        history.add(begin, &seen(100, 50));
        assert_eq!(history.now(), Rates::default(), "one sample has no rate");
        history.add(begin + Duration::from_millis(500), &seen(600, 150));
        let expected = Rates { received: Some(1000.0), stored: Some(200.0) };
        assert_eq!((history.now(), history.shard(1)), (expected, expected));
        assert_eq!(history.shard(2), Rates::default());
    }

    #[test]
    fn counts_that_begin_anew_and_gaps_have_no_rate() {
        let (mut history, begin) = (History::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        history.add(at(0), &seen(100, 100));
        history.add(at(1), &seen(3, 2));
        assert_eq!(history.now(), Rates::default());
        history.add(at(2), &seen(5, 3));
        history.add_gap();
        history.add(at(9), &seen(500, 400));
        let rates: Vec<_> = history.newest(10).map(|rates| rates.received).collect();
        assert_eq!(rates, [None, Some(2.0), None]);
        assert_eq!(history.newest(1).count(), 1);
    }

    #[test]
    fn the_past_is_bounded() {
        let mut history = History::default();
        for _ in 0..3 * LENGTH_MAX {
            history.add_gap();
        }
        assert_eq!(history.newest(usize::MAX).count(), LENGTH_MAX);
    }
}
