//! Keeping the runtime's threads free of waiting for a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use crate::storage::{StorageError, StorageErrorKind};

use super::error::error;

/// At most this many of the runtime's blocking threads are used at a time, even with a slow disk: it has 512 for the whole
/// program.
const READS: usize = 64;
/// The same for work on the directory as a whole, which can wait for locks.
const MAINTENANCE: usize = 4;

/// Above this a read did not come from memory.
const SLOW: Duration = Duration::from_millis(1);
/// Reads that take the detour after a slow one.
const DETOURS: u32 = 16;

/// The threads that may block.
#[derive(Debug)]
pub(super) struct Blocking {
    reads: Arc<Semaphore>,
    maintenance: Arc<Semaphore>,
    detours: AtomicU32,
}

impl Blocking {
    pub(super) fn new() -> Self {
        Self {
            reads: Arc::new(Semaphore::new(READS)),
            maintenance: Arc::new(Semaphore::new(MAINTENANCE)),
            detours: AtomicU32::new(0),
        }
    }

    /// Does a small read. Those come from the page cache most of the time: four microseconds, where a blocking thread
    /// costs thirty. So they are done on the spot, until one was slow; then the next ones take the detour.
    pub(super) async fn quick<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let left = self.detours.load(Ordering::Relaxed);
        if left > 0 {
            self.detours.store(left - 1, Ordering::Relaxed);
            return self.read(work).await;
        }
        let start = Instant::now();
        let result = work();
        if start.elapsed() > SLOW {
            self.detours.store(DETOURS, Ordering::Relaxed);
        }
        Ok(result)
    }

    /// Reads on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        joined(spawn(self.turn().await?, work)?.await)
    }

    /// Works on the directory as a whole, on a thread that may block.
    pub(super) async fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        joined(spawn(taken(&self.maintenance).await?, work)?.await)
    }

    /// Waits for the turn of one read.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, StorageError> {
        taken(&self.reads).await
    }
}

/// The permit goes with the work and not with the caller, who may stop waiting.
async fn taken(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StorageError> {
    let permit = Arc::clone(permits).acquire_owned().await;
    permit.map_err(|cause| error(StorageErrorKind::Unavailable, "waiting for a thread").with_source(cause))
}

/// Starts on a thread that may block.
pub(super) fn spawn<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StorageError> {
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.spawn_blocking(move || {
            let _turn = turn;
            work()
        })),
        Err(cause) => {
            Err(error(StorageErrorKind::Unavailable, "asked outside of a Tokio runtime").with_source(cause))
        }
    }
}

pub(super) fn joined<T>(result: Result<T, JoinError>) -> Result<T, StorageError> {
    result.map_err(|cause| error(StorageErrorKind::Unavailable, "the runtime shut down").with_source(cause))
}
