//! Chance for the fake disk: the same seed always gives the same.

/// What becomes of something that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Dropped,
    Torn,
}

/// Decides what a power loss leaves.
#[derive(Debug)]
pub(super) enum Chance {
    /// Keeps nothing that was not synced.
    Nothing,
    /// Keeps everything.
    Everything,
    /// Keeps some, by `SplitMix64`.
    Some(u64),
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        match seed {
            0 => Self::Nothing,
            1 => Self::Everything,
            seed => Self::Some(seed),
        }
    }

    pub(super) fn fate(&mut self) -> Fate {
        match self {
            Self::Nothing => Fate::Dropped,
            Self::Everything => Fate::Kept,
            Self::Some(_) => [Fate::Kept, Fate::Dropped, Fate::Torn][self.below(3)],
        }
    }

    /// Whether a change that is whole or not at all is kept.
    pub(super) fn keeps(&mut self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(_) => self.below(2) == 1,
        }
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let state = match self {
            Self::Nothing => return 0,
            Self::Everything => return bound - 1,
            Self::Some(state) => state,
        };
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % bound as u64) as usize
    }
}
