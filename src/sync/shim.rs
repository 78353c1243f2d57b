//! Where the atomics come from: loom when it checks, std otherwise.

#[cfg(loom)]
pub(super) use super::planted::{AtomicU32, AtomicU64};
#[cfg(loom)]
pub(super) use loom::sync::{Mutex, atomic::Ordering};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Mutex,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
