//! Locks and atomics for state that threads share. `tests/models` compiles the files that use them a second time, with
//! those of a model checker.

pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
