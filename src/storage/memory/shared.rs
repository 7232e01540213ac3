//! What all clones of a storage share: the map, the locks of writers, the counters.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::NAME;
use super::fence::Fences;
use super::groups::Invalidations;
use super::in_flight::InFlight;
use super::map::{Map, Slot};
use super::options::Options;
use crate::key::CacheKey;
use crate::storage::{StorageError, StorageErrorKind};

/// Writers of different keys rarely meet on the same lock.
const STRIPES: usize = 64;

pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) map: Map,
    /// Writers of a key hold its lock from reading the old slot to placing the new one; lookups take none.
    stripes: Box<[Mutex<Fences>]>,
    /// Counts removals. A lookup's fence is the number of the last removal before it.
    pub(super) removals: AtomicU64,
    pub(super) invalidations: Invalidations,
    pub(super) in_flight: InFlight,
}

impl Shared {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            map: Map::new(options.max_bytes, options.max_entries, options.max_body),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            removals: AtomicU64::new(0),
            invalidations: Invalidations::new(),
            in_flight: InFlight::new(options.max_bytes),
        }
    }

    /// Puts a slot in place of the one before. The caller holds the key's stripe.
    pub(super) fn place(&self, hash: u128, key: &CacheKey, mut slot: Slot) {
        while slot.weight() > self.map.max_weight() && slot.responses.len() > 1 {
            slot.responses.pop();
        }
        if slot.heads().next().is_none() {
            self.map.remove(hash, key);
        } else {
            self.map.insert(hash, slot);
        }
    }

    /// The lock of a key, and the removals among the keys that share it.
    pub(super) fn stripe(&self, hash: u128) -> MutexGuard<'_, Fences> {
        // The low bits choose the map's shard.
        let index = (hash >> 64) as usize % STRIPES;
        #[allow(clippy::indexing_slicing, reason = "there are STRIPES stripes")]
        lock(&self.stripes[index])
    }

    /// The locks of all keys.
    pub(super) fn all_stripes(&self) -> Vec<MutexGuard<'_, Fences>> {
        self.stripes.iter().map(lock).collect()
    }

    pub(super) fn too_large(&self) -> StorageError {
        let action = format!("storing a body of more than {} bytes", self.options.max_body);
        StorageError::new(StorageErrorKind::TooLarge, NAME, action)
    }
}

fn lock(stripe: &Mutex<Fences>) -> MutexGuard<'_, Fences> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}
