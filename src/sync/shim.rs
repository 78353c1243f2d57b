//! Where atomics and locks come from: loom when it checks, std otherwise.

#[cfg(loom)]
pub(super) use super::planted::{AtomicI64, AtomicU32, AtomicU64};
#[cfg(loom)]
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard, atomic::Ordering};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
};
