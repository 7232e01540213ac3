//! One handle to the storage, with deadlines, breakers, counters, publishing marks and pending invalidations.
//!
//! Nothing else in the crate talks to a [`DynStorage`]. A failure is a miss, or a response that is not
//! stored. It is never an error for the caller. A failed invalidation is remembered until it succeeds.

mod admission;
mod breaker;
mod counters;
mod deadline;
mod health;
mod invalidate;
mod pending;
mod purge;
mod read;
mod tasks;
mod write;

pub(crate) use admission::Room;
pub(crate) use counters::Counters;
pub use counters::Counts;
pub(crate) use invalidate::Moment;
pub(crate) use tasks::{Running, spawn};

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use self::admission::Admission;
use self::deadline::within;
use self::health::Health;
use self::pending::Pending;
use self::tasks::Tasks;
use crate::storage::{DynStorage, StorageError, StorageErrorKind};
use crate::underway::Publishing;

/// How long one operation of the storage may take before the request goes on without it.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long the caller of one body may be held up in all before storing it is given up.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many bytes may be in memory on their way to the storage.
const BACKLOG: usize = 64 << 20;

/// The storage of one layer, with its time limits. Clones share everything except the settings.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) storage: Arc<dyn DynStorage>,
    /// For every single operation of the storage.
    pub(crate) deadline: Duration,
    /// How long the caller of one body may be held up in all.
    pub(crate) patience: Duration,
    /// How many bytes may be in memory on their way to the storage.
    pub(crate) backlog: usize,
    shared: Arc<Shared>,
}

struct Shared {
    health: Health,
    counters: Arc<Counters>,
    publishing: Publishing,
    pending: Pending,
    /// How many invalidations the storage has counted at least, those of other processes included.
    counted: AtomicU64,
    admission: Admission,
    tasks: Tasks,
}

impl Store {
    pub(crate) fn new(storage: Arc<dyn DynStorage>) -> Self {
        let counters = Arc::new(Counters::default());
        let shared = Shared {
            health: Health::new(Arc::clone(&counters)),
            counters,
            publishing: Publishing::default(),
            pending: Pending::default(),
            counted: AtomicU64::new(0),
            admission: Admission::new(),
            tasks: Tasks::default(),
        };
        let (deadline, patience, backlog) = (DEADLINE, PATIENCE, BACKLOG);
        Self { storage, deadline, patience, backlog, shared: Arc::new(shared) }
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// The name of the storage, for errors.
    pub(crate) fn backend(&self) -> &'static str {
        self.storage.name()
    }

    /// The error of a stored response that is not what its head says.
    pub(crate) fn error(&self, kind: StorageErrorKind, action: &str) -> StorageError {
        StorageError::new(kind, self.backend(), action)
    }

    /// Waits until everything that is under way beside the callers is over: responses being stored, and heads,
    /// removals and invalidations being written. Invalidations that failed before are tried once more.
    pub(crate) async fn flush(&self) {
        self.shared.tasks.settled().await;
        self.bring_pending().await;
    }

    /// Announces a task that is run elsewhere, for [`flush`](Self::flush) to wait for.
    pub(crate) fn begin_task(&self) -> Running {
        self.shared.tasks.begin()
    }

    /// Runs a task to its end where it is, when it never has to wait, and beside the caller otherwise.
    pub(crate) fn run_or_spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.run_or_spawn(task);
    }

    /// One operation of the storage, for no longer than the deadline.
    fn within<'a, T>(
        &self,
        action: &'static str,
        operation: Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>,
    ) -> impl Future<Output = Result<T, StorageError>> + Send + use<'a, T> {
        within(self.deadline, self.backend(), action, operation)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { storage, deadline, patience, backlog, .. } = self;
        f.debug_struct("Store")
            .field("storage", storage)
            .field("deadline", deadline)
            .field("patience", patience)
            .field("backlog", backlog)
            .finish_non_exhaustive()
    }
}
