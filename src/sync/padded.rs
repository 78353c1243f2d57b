//! A value with cache lines of its own, so that threads which write neighbours do not slow each
//! other down.

use std::ops::Deref;

/// Keeps `T` on cache lines of its own: 128 bytes, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(T);

impl<T> Padded<T> {
    /// Pads `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_no_cache_line() {
        let pair = [Padded::new(1_u8), Padded::new(2_u8)];
        let distance = (&raw const *pair[1]).addr() - (&raw const *pair[0]).addr();
        assert_eq!(distance % 128, 0);
        assert_eq!(*pair[0] + *pair[1], 3);
    }
}
