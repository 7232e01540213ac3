//! The health of the storage: every failure is counted and logged here, once.

use std::sync::Arc;

use super::breaker::Breaker;
use super::counters::Counters;
use crate::storage::StorageError;

/// The storage's health as one layer sees it. Reading, writing and invalidating are separate: a full disk can still be
/// read.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) reads: Breaker,
    pub(super) writes: Breaker,
    pub(super) invalidations: Breaker,
    counters: Arc<Counters>,
}

impl Health {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        let (reads, writes, invalidations) = (Breaker::new(), Breaker::new(), Breaker::new());
        Self { reads, writes, invalidations, counters }
    }

    /// Counts and logs a failure.
    pub(super) fn trouble(&self, error: &StorageError) {
        self.counters.count(|counters| &counters.storage_errors);
        #[cfg(feature = "tracing")]
        tracing::warn!(error = error as &dyn std::error::Error, "the storage failed; going on without it");
        #[cfg(not(feature = "tracing"))]
        let _ = error;
    }

    /// Records the result of an operation that the breaker guards.
    pub(super) fn heard<T>(&self, breaker: &Breaker, result: &Result<T, StorageError>) {
        match result {
            Ok(_) => breaker.succeeded(),
            Err(error) => {
                breaker.failed(error.kind());
                self.trouble(error);
            }
        }
    }
}
