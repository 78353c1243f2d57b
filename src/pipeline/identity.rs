//! Who this node is: the key that places events on shards, and the number in its receipts.

use std::{fmt, io};

use siphasher::sip::SipHasher13;

use crate::event::Event;

/// What distinguishes one node, kept in its data directory so that a restart places every user
/// on the same shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Keys the hash that places events: without it, clients could aim all their events at one
    /// shard.
    pub key: [u8; 16],
    /// Part of every receipt of this node.
    pub node: u32,
}

impl Identity {
    /// A new identity from the system's randomness.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 20];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let (mut key, mut node) = ([0; 16], [0; 4]);
        key.copy_from_slice(&bytes[..16]);
        node.copy_from_slice(&bytes[16..]);
        Ok(Self { key, node: u32::from_le_bytes(node) })
    }

    /// The shard of an event among `shards`: by its `user_id`, so that one user's events keep
    /// their order, or by its id where it has none.
    #[doc(hidden)]
    pub fn shard_of(&self, event: &Event<'_>, shards: usize) -> usize {
        match event.user_id {
            Some(user_id) => self.shard_of_user(user_id, shards),
            None => self.place(event.id.as_bytes(), shards),
        }
    }

    /// The shard of the events of that user.
    pub(super) fn shard_of_user(&self, user_id: &str, shards: usize) -> usize {
        self.place(user_id.as_bytes(), shards)
    }

    fn place(&self, bytes: &[u8], shards: usize) -> usize {
        let hash = SipHasher13::new_with_key(&self.key).hash(bytes);
        // Scales the hash to 0..shards without the bias and the division of a remainder.
        ((u128::from(hash) * shards as u128) >> 64) as usize
    }
}

impl fmt::Debug for Identity {
    /// Without the key, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("node", &self.node).finish_non_exhaustive()
    }
}
