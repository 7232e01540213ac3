//! How the storage is doing: every failure is heard here, once.

use std::sync::Arc;

use super::breaker::Breaker;
use super::counters::Counters;
use crate::body::Observe;
use crate::storage::{Published, StorageError, StorageErrorKind};

/// The storage's health as one layer sees it. Reading and writing fail apart: a full disk can still be read.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) reads: Breaker,
    pub(crate) writes: Breaker,
    counters: Arc<Counters>,
}

impl Health {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { reads: Breaker::new(), writes: Breaker::new(), counters }
    }

    /// Takes a failure down.
    pub(crate) fn trouble(&self, error: &StorageError) {
        self.counters.count(|counters| &counters.storage_errors);
        #[cfg(feature = "tracing")]
        tracing::warn!(error = error as &dyn std::error::Error, "the storage failed; going on without it");
        #[cfg(not(feature = "tracing"))]
        let _ = error;
    }
}

impl Observe for Health {
    fn filled(&self, result: Option<&Result<Published, StorageError>>) {
        match result {
            Some(Ok(Published::Stored)) => {
                self.writes.succeeded();
                self.counters.count(|counters| &counters.stored);
                return;
            }
            // A body over the limit says nothing about the storage.
            Some(Err(error)) if error.kind() != StorageErrorKind::TooLarge => {
                self.writes.failed(error.kind());
                self.trouble(error);
            }
            Some(Ok(Published::Superseded) | Err(_)) | None => {}
        }
        self.counters.count(|counters| &counters.abandoned);
    }
}
