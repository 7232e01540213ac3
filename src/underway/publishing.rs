//! Which keys are being published at this moment.
//!
//! A caller never waits for the store, so a body can be complete before its entry is. The next request for the
//! same key waits for the entry instead of going to the origin: a process reads what it wrote.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::key::CacheKey;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};

/// The publications under way in one process. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Publishing(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Number of marks, so that the usual case of none costs one load.
    marks: AtomicUsize,
    keys: Mutex<HashMap<u128, Key>>,
}

struct Key {
    marks: usize,
    settled: Arc<Notify>,
}

/// A publication under way; over when this is dropped.
pub(crate) struct Mark {
    publishing: Publishing,
    hash: u128,
}

impl Publishing {
    /// Announces a publication under `key`. Keys with the same hash wait for each other, which is harmless.
    pub(crate) fn mark(&self, key: &CacheKey) -> Mark {
        let hash = key.hash128();
        let mut keys = self.lock();
        keys.entry(hash).or_insert_with(|| Key { marks: 0, settled: Arc::default() }).marks += 1;
        self.0.marks.fetch_add(1, Ordering::SeqCst);
        drop(keys);
        Mark { publishing: self.clone(), hash }
    }

    /// Whether nothing at all is being published.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.marks.load(Ordering::SeqCst) == 0
    }

    /// Waits until nothing is being published under `key`.
    pub(crate) async fn settled(&self, key: &CacheKey) {
        let hash = key.hash128();
        loop {
            let settled = match self.lock().get(&hash) {
                Some(key) => Arc::clone(&key.settled).notified_owned(),
                None => return,
            };
            settled.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Key>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut keys = self.publishing.lock();
        self.publishing.0.marks.fetch_sub(1, Ordering::SeqCst);
        if let Some(key) = keys.get_mut(&self.hash) {
            key.marks -= 1;
            if key.marks == 0 {
                key.settled.notify_waiters();
                keys.remove(&self.hash);
            }
        }
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").field("marks", &self.0.marks).finish()
    }
}
