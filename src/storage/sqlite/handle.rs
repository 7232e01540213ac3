//! What all clones of a storage share: the connections, the writing thread, and where the database is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::connections;
use super::error::Fault;
use super::evict;
use super::lookup::{self, Found};
use super::options::SqliteStorageBuilder;
use super::place::Place;
use super::pool::Pool;
use super::queue::Queue;
use super::rows;
use super::session::{Session, State};
use super::sweep::{self, Sweep};
use crate::key::CacheKey;
use crate::storage::{Lookup, StorageError, StorageErrorKind};

/// The fields are dropped in this order: the last connection closed is the writing one, because only that can remove
/// the log, and a temporary file is deleted when it is no longer open.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) pool: Arc<Pool>,
    queue: Option<Queue>,
    pub(super) state: Arc<State>,
    pub(super) place: Place,
}

impl Handle {
    /// Opens the database at `place` and starts the thread that writes to it.
    pub(super) fn open(place: Place, options: SqliteStorageBuilder) -> Result<Self, StorageError> {
        let failed = |fault: Fault| fault.during("opening", place.shown());
        let connections = connections::open(&place, &options).map_err(failed)?;
        let pool = Arc::new(Pool::new(connections.readers, options.busy_timeout));
        let state = Arc::new(State::new(options));
        let start = |connection| Queue::start(connection, Arc::clone(&state));
        let queue = connections.writer.map(start).transpose().map_err(failed)?;
        Ok(Self { queue, pool, state, place })
    }

    /// The way to the thread that writes.
    pub(super) fn queue(&self, action: &str) -> Result<&Queue, StorageError> {
        self.queue.as_ref().ok_or_else(|| {
            let fault = Fault::new(StorageErrorKind::ReadOnly, "the storage was opened with read_only");
            fault.during(action, self.place.shown())
        })
    }

    /// Reads on a blocking thread.
    pub(super) async fn read<T, F>(&self, action: &str, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.pool.elsewhere(work).await.map_err(|fault| self.error(fault, action))
    }

    /// Writes in a transaction, and returns once that is committed.
    pub(super) async fn write<T, F>(&self, action: &str, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.queue(action)?.write(work).await.map_err(|fault| self.error(fault, action))
    }

    /// Sweeps through a keyspace, a transaction at a time, so that others can write in between. Returns how many rows
    /// were deleted.
    pub(super) async fn sweep(&self, action: &str, sweep: Sweep) -> Result<u64, StorageError> {
        let (mut deleted, mut rest) = (0, Some(sweep));
        while let Some(sweep) = rest {
            let (step, next) = self.write(action, move |session| sweep::step(session, sweep)).await?;
            deleted += step;
            rest = next;
        }
        Ok(deleted)
    }

    /// What a lookup leads to: marks of use, and the removal of garbage.
    fn follow_up(&self, found: Found) -> Lookup {
        let Some(queue) = &self.queue else { return found.lookup };
        let limited = self.state.options.max_bytes.is_some() || self.state.options.max_entries.is_some();
        if limited && !found.used.is_empty() && self.state.recency.mark(&found.used) {
            queue.nudge(evict::remember);
        }
        if !found.garbage.is_empty() {
            let garbage = found.garbage;
            queue.nudge(move |session| {
                garbage.iter().try_for_each(|entry| rows::delete(session.connection, *entry))
            });
        }
        found.lookup
    }

    pub(super) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let key = key.clone();
        match self.pool.quick(move |connection| lookup::lookup(connection, &key)).await {
            Ok(found) => Ok(self.follow_up(found)),
            // What is stored is damaged, which makes it a miss. The fence is one from which nothing is taken until the
            // damage is repaired.
            Err(fault) if fault.kind == StorageErrorKind::Corrupt => {
                self.report_damage();
                Ok(Lookup::default())
            }
            Err(fault) => Err(self.error(fault, "looking up a response in")),
        }
    }

    /// The error of a call. Damage is reported to the writing thread, which repairs it.
    pub(super) fn error(&self, fault: Fault, action: &str) -> StorageError {
        if fault.is_damage() {
            self.report_damage();
        }
        fault.during(action, self.place.shown())
    }

    fn report_damage(&self) {
        self.state.damaged.store(true, Ordering::Relaxed);
        if let Some(queue) = &self.queue {
            queue.nudge(|_| Ok(()));
        }
    }
}
