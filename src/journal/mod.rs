//! The journal: what is accepted and not stored yet, on this node's disk.

pub mod fs;

#[cfg(test)]
mod tests;
