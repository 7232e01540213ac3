//! The storage, patiently: one handle with deadlines, breakers, counters, and memory of what is under way.
//!
//! Nothing else in the crate talks to a [`DynStorage`]. Whatever fails here is a miss, or a response that is not
//! stored, and never an error of the caller's; only an invalidation that fails is remembered until it is done.

mod admission;
mod breaker;
mod counters;
mod deadline;
mod health;
mod pending;
mod tasks;

pub(crate) use admission::Room;
pub(crate) use counters::Counters;
pub use counters::Counts;
pub(crate) use tasks::{Running, spawn};

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use self::admission::Admission;
use self::deadline::within;
use self::health::Health;
use self::pending::{Call, Due, Pending};
use self::tasks::Tasks;
use crate::entry::{Alias, BodyEnd, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{
    AnyReader, AnyWriter, DynStorage, Fence, Lookup, Published, StorageError, StorageErrorKind,
};
use crate::underway::{Mark, Publishing};

/// How long one operation of the storage may take before the request goes on without it.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long the caller of one body may be held up in all before storing it is given up.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many bytes may be in memory on their way to the storage.
const BACKLOG: usize = 64 << 20;
/// How much longer than the deadline one waits for a publication.
const SETTLING: Duration = Duration::from_millis(50);
/// Pauses between attempts to bring invalidations to the storage.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The storage of one layer, and how patient to be with it. Clones share everything but the settings.
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
    /// So many invalidations the storage has counted, those of other processes included, or more.
    counted: AtomicU64,
    admission: Admission,
    tasks: Tasks,
}

/// A point in the row of invalidations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Those of this layer.
    calls: u64,
    /// Those that the storage has counted, or fewer.
    counted: u64,
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

    /// The error of a stored response that is not what its head says.
    pub(crate) fn error(&self, kind: StorageErrorKind, action: &str) -> StorageError {
        StorageError::new(kind, self.storage.name(), action)
    }

    /// Waits until everything that is under way beside the callers is over: responses being stored, and heads,
    /// removals and invalidations being written. Invalidations that failed before are tried once more.
    pub(crate) async fn flush(&self) {
        self.shared.tasks.settled().await;
        if let Some((due, call)) = self.shared.pending.due() {
            self.bring(due, call).await;
        }
    }

    /// Announces a task that is run elsewhere, for [`flush`](Self::flush) to wait for.
    pub(crate) fn begin_task(&self) -> Running {
        self.shared.tasks.begin()
    }

    /// Runs a task to its end where it is, when it never has to wait, and beside the caller otherwise.
    pub(crate) fn run_or_spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.run_or_spawn(task);
    }
}

/// Reading.
impl Store {
    /// What is stored under a key, once whatever is being published under it is. In one word why there is nothing,
    /// where the storage fails, takes too long, or did so just now.
    pub(crate) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, &'static str> {
        let Shared { health, publishing, .. } = &*self.shared;
        if !health.reads.allows() {
            return Err("storage left alone");
        }
        if !publishing.is_idle() {
            // A publication that hangs must not hang those who wait for it; they see what is there without it. They wait
            // a little longer than a single operation may take, so as to know what became of it.
            let limit = self.deadline.saturating_add(SETTLING);
            let _ = Box::pin(tokio::time::timeout(limit, publishing.settled(key))).await;
        }
        self.lookup_unsettled(key).await
    }

    /// What is stored under a key at this moment, for one who publishes under it himself.
    pub(crate) async fn lookup_unsettled(&self, key: &CacheKey) -> Result<Lookup, &'static str> {
        let Shared { health, pending, .. } = &*self.shared;
        let found = self.within("lookup", self.storage.lookup(key)).await;
        health.heard(&health.reads, &found);
        let mut found = found.map_err(|error| error.kind().as_str())?;
        self.has_counted(found.as_of);
        if !pending.is_empty() {
            mark_pending(pending, &mut found);
            // The one who did may have gone with his runtime.
            self.retry();
        }
        Ok(found)
    }

    pub(crate) async fn open(&self, head: &StoredHead) -> Result<AnyReader, StorageError> {
        let opened = self.within("opening a body", self.storage.open(head)).await;
        self.heard_reading(&opened);
        opened
    }

    pub(crate) async fn read(&self, reader: &mut AnyReader) -> Result<Option<Bytes>, StorageError> {
        let read = self.within("reading a body", Box::pin(reader.next())).await;
        self.heard_reading(&read);
        read
    }

    /// Only trouble is news: a body that can be read says nothing of lookups.
    fn heard_reading<T>(&self, result: &Result<T, StorageError>) {
        if result.is_err() {
            self.shared.health.heard(&self.shared.health.reads, result);
        }
    }
}

/// Writing.
impl Store {
    /// Whether to begin to store anything: not for a while after the storage refused to.
    pub(crate) fn takes_writes(&self) -> bool {
        self.shared.health.writes.allows()
    }

    /// Announces a publication: whoever asks for the key waits until the mark is dropped.
    pub(crate) fn mark(&self, key: &CacheKey) -> Mark {
        self.shared.publishing.mark(key)
    }

    /// Room in memory for a response on its way to the storage.
    pub(crate) fn room(&self) -> Room {
        self.shared.admission.enter(self.backlog)
    }

    /// Waits for its turn to be written.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.shared.admission.turn().await
    }

    /// Hears what became of a response that was to be stored; `None`: its body did not arrive whole.
    pub(crate) fn filled(&self, result: Option<&Result<Published, StorageError>>) {
        self.shared.health.filled(result);
    }

    /// Hears what the storage made of a response that was given up, and counted, meanwhile.
    pub(crate) fn filling_failed(&self, result: &Result<Published, StorageError>) {
        self.shared.health.filling_failed(result);
    }

    pub(crate) async fn begin(&self, head: StoredHead, fence: Fence) -> Result<AnyWriter, StorageError> {
        self.within("beginning to store", self.storage.begin(head, fence)).await
    }

    pub(crate) async fn write(&self, writer: &mut AnyWriter, data: Bytes) -> Result<(), StorageError> {
        self.within("writing a body", Box::pin(writer.write(data))).await
    }

    pub(crate) async fn publish(&self, writer: AnyWriter, end: BodyEnd) -> Result<Published, StorageError> {
        self.within("publishing", Box::pin(writer.publish(end))).await
    }

    pub(crate) async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        self.within("storing an alias", self.storage.put_alias(alias, fence)).await
    }

    /// Writes an alias without keeping the caller.
    pub(crate) fn put_alias_beside(&self, alias: Alias, fence: Fence) {
        if !self.takes_writes() {
            return;
        }
        let (store, mark) = (self.clone(), self.mark(&alias.response.head.key));
        self.run_or_spawn(async move {
            let put = store.put_alias(alias, fence).await;
            store.heard_beside(&put);
            drop(mark);
        });
    }

    /// Writes a head back without keeping the caller. Where the storage is left alone, the next one validates again.
    pub(crate) fn freshen_beside(&self, head: Arc<StoredHead>, fence: Fence) {
        if !self.takes_writes() {
            return;
        }
        let (store, mark) = (self.clone(), self.mark(&head.key));
        self.run_or_spawn(async move {
            let head = Arc::unwrap_or_clone(head);
            let freshened = store.within("freshening", store.storage.freshen(head, fence)).await;
            store.heard_beside(&freshened);
            drop(mark);
        });
    }

    /// Removes one stored response without keeping the caller.
    pub(crate) fn remove_entry_beside(&self, head: &StoredHead) {
        if !self.takes_writes() {
            return;
        }
        let (store, mark) = (self.clone(), self.mark(&head.key));
        let (key, id) = (head.key.clone(), head.id);
        self.run_or_spawn(async move {
            let removed = store.remove_entry(&key, id).await;
            store.heard_beside(&removed);
            drop(mark);
        });
    }

    pub(crate) async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.within("removing a response", self.storage.remove_entry(key, id)).await
    }

    /// Hears what became of a write that nobody waits for.
    pub(crate) fn heard_beside<T>(&self, result: &Result<T, StorageError>) {
        self.shared.health.heard(&self.shared.health.writes, result);
    }

    fn within<'a, T>(
        &self,
        action: &'static str,
        operation: std::pin::Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>,
    ) -> impl Future<Output = Result<T, StorageError>> + Send + use<'a, T> {
        within(self.deadline, self.storage.name(), action, operation)
    }
}

/// Invalidating (RFC 9111 section 4.4).
impl Store {
    /// Invalidates these groups, and removes what stands under these keys. Returns when that is done, or the deadline
    /// has passed for all of it together.
    ///
    /// Lookups of this layer respect it from the first moment on. It goes on when the caller goes away; what the storage
    /// does not confirm is tried again until it does.
    pub(crate) async fn invalidate(&self, groups: Vec<GroupId>, keys: Vec<CacheKey>) {
        let Shared { health, pending, .. } = &*self.shared;
        let counted = self.shared.counted.load(Ordering::Acquire);
        let call = pending.add(&groups);
        if !health.invalidations.allows() {
            self.retry();
            return;
        }
        let (done, waiting) = tokio::sync::oneshot::channel::<()>();
        let store = self.clone();
        self.run_or_spawn(async move {
            let Shared { health, counters, pending, .. } = &*store.shared;
            let storage = Arc::clone(&store.storage);
            let due = Due::Groups(groups);
            let bringing = async {
                bring(&*storage, &due).await?;
                // They are invalid already; this spares their room, and a validation.
                for key in &keys {
                    storage.remove(key).await?;
                }
                Ok(())
            };
            let brought = store.within("invalidating", Box::pin(bringing)).await;
            health.heard(&health.invalidations, &brought);
            if brought.is_ok() {
                pending.confirmed(&due, call);
                pending.counted(call);
                store.has_counted(counted.saturating_add(1));
                counters.count(|counters| &counters.invalidated);
            }
            // This one, or one that was one too many.
            if !pending.is_empty() {
                store.retry();
            }
            drop(done);
        });
        // Ends with the task, whatever becomes of it.
        let _ = waiting.await;
    }

    async fn bring(&self, due: Due, call: Call) {
        let brought = self.within("invalidating", Box::pin(bring(&*self.storage, &due))).await;
        self.shared.health.heard(&self.shared.health.invalidations, &brought);
        if brought.is_ok() {
            self.shared.pending.confirmed(&due, call);
        }
    }

    /// This moment in the row of invalidations. Asks nothing: what the storage has counted is what was last heard of it.
    pub(crate) fn moment(&self) -> Moment {
        let Shared { pending, counted, .. } = &*self.shared;
        Moment { calls: pending.calls(), counted: counted.load(Ordering::Acquire) }
    }

    /// Whether more than one invalidation has concerned this head since then, as far as the storage had counted in a
    /// lookup just now. Of those by others nobody knows what they concerned.
    pub(crate) fn invalidated_again(&self, head: &StoredHead, since: Moment, as_of: u64) -> bool {
        let Shared { pending, counted, .. } = &*self.shared;
        let Some(all) = as_of.checked_sub(since.counted) else {
            // The storage has forgotten its count, and begun a new one.
            counted.store(as_of, Ordering::Release);
            return true;
        };
        all != pending.counted_since(since.calls) || pending.named_again(head, since.calls)
    }

    /// The storage has counted so many invalidations.
    fn has_counted(&self, as_of: u64) {
        let counted = &self.shared.counted;
        // Usually it has not counted any more, and nobody writes.
        if counted.load(Ordering::Acquire) < as_of {
            counted.fetch_max(as_of, Ordering::AcqRel);
        }
    }

    /// Sees to it that what is pending is tried again, for as long as the layer or one of its services lives.
    fn retry(&self) {
        if !self.shared.pending.begin_retrying() {
            return;
        }
        let (storage, shared) = (Arc::downgrade(&self.storage), Arc::downgrade(&self.shared));
        let retrying = Retrying(Weak::clone(&shared));
        spawn(Box::pin(retry(storage, shared, self.deadline, retrying)));
    }
}

/// Should the task be dropped, with its runtime, another one may take its place.
struct Retrying(Weak<Shared>);

impl Drop for Retrying {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.pending.end_retrying();
        }
    }
}

/// Brings what is pending to the storage, for as long as that and the layer live.
async fn retry(storage: Weak<dyn DynStorage>, shared: Weak<Shared>, deadline: Duration, _retrying: Retrying) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let (Some(storage), Some(shared)) = (storage.upgrade(), shared.upgrade()) else { return };
        let Some((due, call)) = shared.pending.due() else { return };
        let brought =
            within(deadline, storage.name(), "invalidating", Box::pin(bring(&*storage, &due))).await;
        shared.health.heard(&shared.health.invalidations, &brought);
        if brought.is_ok() {
            shared.pending.confirmed(&due, call);
            pause = Duration::ZERO;
        } else {
            pause = pause.saturating_mul(2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        }
    }
}

async fn bring(storage: &dyn DynStorage, due: &Due) -> Result<(), StorageError> {
    match due {
        Due::Groups(groups) => storage.invalidate(groups).await,
        // Nobody knows any more what it was.
        Due::Everything => storage.clear(None).await,
    }
}

fn mark_pending(pending: &Pending, found: &mut Lookup) {
    for response in &mut found.responses {
        response.invalidated |= pending.cover(&response.head);
    }
    if let Some(alias) = &mut found.alias
        && pending.cover(&alias.response.head)
    {
        Arc::make_mut(alias).response.invalidated = true;
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
