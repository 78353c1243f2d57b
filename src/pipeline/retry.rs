//! What to do after a store's error: a pure function of the error and the history, so that it
//! can be read, and tested, as a table.

use std::time::Duration;

use crate::storage::StoreError;

/// The first wait after a passing error; doubled each time up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// The longest wait while the store is not set up right: an operator has to act.
const LONGEST_MISCONFIGURED: Duration = Duration::from_secs(15);

/// The next step for a range of rows that could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Store the same range again, after this long.
    Wait(Duration),
    /// Store the range in parts: one row in it is bad. The row, where the store named it.
    Bisect(Option<usize>),
    /// The range is one row, and the store refuses it for good.
    DeadLetter,
}

/// The step after `error` on a range of `rows` rows, tried `attempt` times before (0 at first).
/// `jitter` lies in 0..1 and spreads the waits of many.
pub(super) fn next(error: &StoreError, rows: usize, attempt: u32, jitter: f64) -> Step {
    match error {
        StoreError::BadRow(_) if rows <= 1 => Step::DeadLetter,
        StoreError::BadRow(bad) => Step::Bisect(bad.row),
        StoreError::Transient { .. } | StoreError::Ambiguous { .. } => Step::Wait(backoff(LONGEST, attempt, jitter)),
        StoreError::Misconfigured { .. } => Step::Wait(backoff(LONGEST_MISCONFIGURED, attempt, jitter)),
    }
}

/// Exponential, from half to all of the step: never zero, so that nothing spins.
pub(super) fn backoff(longest: Duration, attempt: u32, jitter: f64) -> Duration {
    let step = SHORTEST.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(longest);
    step.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::BadRow;

    fn words() -> (String, String) {
        ("1".into(), "words".into())
    }

    fn transient() -> StoreError {
        let (code, message) = words();
        StoreError::Transient { code, message }
    }

    fn bad_row(row: Option<usize>) -> StoreError {
        let (code, message) = words();
        StoreError::BadRow(BadRow { row, code, message })
    }

    #[test]
    fn each_kind_of_error_has_one_answer() {
        let (code, message) = words();
        let ambiguous = StoreError::Ambiguous { code: code.clone(), message: message.clone() };
        let misconfigured = StoreError::Misconfigured { code, message };
        let shortest = Step::Wait(SHORTEST);
        for (error, rows, step) in [
            (transient(), 100, shortest),
            (ambiguous, 1, shortest),
            (misconfigured, 1, shortest),
            (bad_row(None), 100, Step::Bisect(None)),
            (bad_row(Some(7)), 100, Step::Bisect(Some(7))),
            (bad_row(Some(0)), 1, Step::DeadLetter),
        ] {
            assert_eq!(next(&error, rows, 0, 1.0), step, "{error:?}");
        }
    }

    #[test]
    fn waits_grow_to_a_bound_and_are_never_zero() {
        let Step::Wait(at_last) = next(&transient(), 1, u32::MAX, 1.0) else { panic!("a transient error waits") };
        assert_eq!(at_last, LONGEST);
        assert_eq!(next(&transient(), 1, 0, 0.0), Step::Wait(SHORTEST / 2));
    }
}
