//! Once made sure of, the layout is not looked at again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::storage::{StorageError, StorageErrorKind};

/// A server that is down is not asked again by everyone who waits.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// Whether the layout has been made sure of.
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
    /// Opens unless that was done. `recent` makes the error of those who come right after a failure.
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

    /// Someone dropped the collection or the database: everything is to be made anew.
    pub(super) fn forget(&self) {
        self.done.store(false, Ordering::Release);
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}
