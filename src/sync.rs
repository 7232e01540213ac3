//! Locks and counts of what several threads have in common. `tests/models` compiles the files that use them once more,
//! with the ones of a model checker in their place.

pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
