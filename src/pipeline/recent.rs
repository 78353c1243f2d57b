//! Which ids clients chose lately: a shard's own window of them, so that a repeated event can be said
//! to be one before the store is asked.
//!
//! It is a help and no promise: bounded, empty after a start, and of one shard. An id that is in it was
//! synced; what decides is the store's primary key. Only ids that clients chose come here, so that
//! others cost nothing.

use std::collections::HashSet;

use uuid::Uuid;

/// Ids of one generation; two generations are remembered.
const GENERATION_IDS: usize = 32_768;

/// The ids seen lately.
#[derive(Debug, Default)]
pub(super) struct Recent {
    young: HashSet<Uuid>,
    old: HashSet<Uuid>,
}

impl Recent {
    /// Notes an id; true where it was seen lately.
    pub(super) fn note(&mut self, id: Uuid) -> bool {
        if self.young.len() >= GENERATION_IDS {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        !self.young.insert(id) || self.old.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_for_at_least_a_generation_and_not_for_ever() {
        let id = |n: usize| Uuid::from_u128(n as u128);
        let mut recent = Recent::default();
        assert!(!recent.note(id(0)));
        assert!(recent.note(id(0)));
        for n in 1..GENERATION_IDS {
            assert!(!recent.note(id(n)), "{n}");
        }
        assert!(recent.note(id(1)), "a generation later");
        for n in GENERATION_IDS..4 * GENERATION_IDS {
            recent.note(id(n));
        }
        assert!(!recent.note(id(2)), "long ago");
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION_IDS);
    }
}
