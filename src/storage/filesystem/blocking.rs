//! Keeping the runtime's threads free of waiting for a disk.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::storage::{StorageError, StorageErrorKind};

use super::error::error;

/// Runs on a thread that may block.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StorageError> {
    joined(spawn(work)?.await)
}

/// Starts on a thread that may block.
pub(super) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StorageError> {
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn_blocking(work)),
        Err(cause) => {
            Err(error(StorageErrorKind::Unavailable, "asked outside of a Tokio runtime").with_source(cause))
        }
    }
}

pub(super) fn joined<T>(result: Result<T, JoinError>) -> Result<T, StorageError> {
    result.map_err(|cause| error(StorageErrorKind::Unavailable, "the runtime shut down").with_source(cause))
}

/// Above this a read did not come from memory.
const SLOW: Duration = Duration::from_millis(1);
/// Reads that take the detour after a slow one.
const DETOURS: u32 = 16;

/// Small reads come from the page cache most of the time: four microseconds, where a blocking thread costs thirty. So
/// they are done on the spot, until one was slow; then the next ones take the detour.
#[derive(Debug, Default)]
pub(super) struct Pace {
    detours: AtomicU32,
}

impl Pace {
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let left = self.detours.load(Ordering::Relaxed);
        if left > 0 {
            self.detours.store(left - 1, Ordering::Relaxed);
            return run(work).await;
        }
        let start = Instant::now();
        let result = work();
        if start.elapsed() > SLOW {
            self.detours.store(DETOURS, Ordering::Relaxed);
        }
        Ok(result)
    }
}
