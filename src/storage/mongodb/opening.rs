//! Whether the collections are known to be ready: they are prepared once, not before each call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::storage::{StorageError, StorageErrorKind};

/// For this long after a failure, calls fail without asking the server again.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// Whether the collections are prepared.
#[derive(Debug, Default)]
pub(super) struct Opening {
    done: AtomicBool,
    failed: Mutex<Option<Failed>>,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    kind: StorageErrorKind,
    message: String,
}

impl Opening {
    /// Runs `open` unless it has already succeeded. `recent` makes the error of a call right after a failure.
    pub(super) async fn once(
        &self,
        open: impl Future<Output = Result<(), StorageError>>,
        recent: impl FnOnce(StorageErrorKind, &str) -> StorageError,
    ) -> Result<(), StorageError> {
        if self.is_done() {
            return Ok(());
        }
        let mut failed = self.failed.lock().await;
        if self.is_done() {
            return Ok(());
        }
        if let Some(Failed { at, kind, message }) = &*failed
            && at.elapsed() < FAILED_FOR
        {
            return Err(recent(*kind, message));
        }
        let opened = open.await;
        *failed = opened.as_ref().err().map(|error| Failed {
            at: Instant::now(),
            kind: error.kind(),
            message: error.to_string(),
        });
        self.done.store(opened.is_ok(), Ordering::Release);
        opened
    }

    /// Somebody dropped the collection or the database: the next call prepares everything again.
    pub(super) fn forget(&self) {
        self.done.store(false, Ordering::Release);
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}
