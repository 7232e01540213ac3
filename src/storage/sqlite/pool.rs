//! Reading: on the caller's thread while that is quick, otherwise on a blocking thread.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::connections::SharedConnection;
use super::error::Fault;
use crate::storage::StorageErrorKind;

/// The connections that read.
#[derive(Debug)]
pub(super) struct Pool {
    connections: Box<[SharedConnection]>,
    busy_timeout: Duration,
    pace: Pace,
    /// As many reads on blocking threads as there are connections; more would occupy threads only to wait.
    blocking: Semaphore,
}

impl Pool {
    pub(super) fn new(connections: Box<[SharedConnection]>, busy_timeout: Duration) -> Self {
        let blocking = Semaphore::new(connections.len());
        Self { connections, busy_timeout, pace: Pace::default(), blocking }
    }

    /// Does a short piece of reading: a few rows by their keys.
    ///
    /// From the page cache that takes some microseconds, a fifth of what handing it to another thread would cost, so
    /// it is done where the caller is. [`Pace`] notices when the pages have to come from the disk.
    pub(super) async fn quick<T, F>(self: &Arc<Self>, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match self.on_the_spot(&work) {
            Some(result) => result,
            None => self.elsewhere(work).await,
        }
    }

    /// Reads on a blocking thread, waiting for a connection and for locks.
    pub(super) async fn elsewhere<T, F>(self: &Arc<Self>, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        // The semaphore is never closed.
        let _permit = self.blocking.acquire().await.ok();
        let readers = Arc::clone(self);
        let work = move || {
            let started = Instant::now();
            let result = readers.waiting(work);
            readers.pace.took(started.elapsed());
            result
        };
        // Without a runtime there is none to block.
        let Ok(runtime) = Handle::try_current() else { return work() };
        runtime.spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(Fault::new(StorageErrorKind::Unavailable, format!("the reading thread ended: {error}")))
        })
    }

    fn on_the_spot<T>(&self, work: impl Fn(&Connection) -> Result<T, Fault>) -> Option<Result<T, Fault>> {
        if !self.pace.is_quick() {
            return None;
        }
        // The first free one, not the next in turn: its page cache is the warmest.
        let connection = self.connections.iter().find_map(try_lock)?;
        let started = Instant::now();
        let result = work(&connection);
        self.pace.took(started.elapsed());
        match result {
            Err(fault) if fault.is_busy() => None,
            result => Some(result),
        }
    }

    fn waiting<T>(&self, work: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let free = self.connections.iter().find_map(try_lock);
        let connection = match (free, self.connections.get(fastrand::usize(..self.connections.len()))) {
            (Some(connection), _) => connection,
            (None, Some(connection)) => connection.lock().unwrap_or_else(PoisonError::into_inner),
            (None, None) => return Err(Fault::new(StorageErrorKind::Other, "there is no connection")),
        };
        // Only here may SQLite sleep until the lock of another process is released.
        connection.busy_timeout(self.busy_timeout)?;
        let result = work(&connection);
        connection.busy_timeout(Duration::ZERO)?;
        result
    }
}

fn try_lock(connection: &Arc<Mutex<Connection>>) -> Option<MutexGuard<'_, Connection>> {
    match connection.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Whether reads are quick at present.
///
/// One read that waits for the disk holds up its thread of the runtime, and nothing tells beforehand which one will.
/// So the first slow one sends those after it to blocking threads, until a row of them was quick there.
#[derive(Debug, Default)]
struct Pace {
    wary: AtomicU32,
}

impl Pace {
    /// What a blocking thread would have cost, several times over.
    const SLOW: Duration = Duration::from_micros(250);
    /// After this many quick reads in a row, reads are done on the caller's thread again.
    const ROW: u32 = 16;

    fn is_quick(&self) -> bool {
        self.wary.load(Ordering::Relaxed) == 0
    }

    fn took(&self, time: Duration) {
        if time > Self::SLOW {
            self.wary.store(Self::ROW, Ordering::Relaxed);
        } else if !self.is_quick() {
            let _ = self.wary.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |wary| wary.checked_sub(1));
        }
    }
}
