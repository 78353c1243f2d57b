//! The HTTP side.

mod options;

pub use options::Options;
