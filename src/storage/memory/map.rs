//! The bounded map from keys to slots: one slot holds all that is stored under a key.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

use super::size;
use crate::entry::{Alias, EntryId, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::storage::{Keyspace, Usage};

/// A quarter of the room stays open to newcomers, so that a large body can enter a full cache.
const HOT_SHARE: f64 = 0.75;
/// For the map's bookkeeping of what was evicted lately.
const TYPICAL_ENTRY: u64 = 4096;

pub(super) struct Map {
    cache: Cache<MapKey, Arc<Slot>, SlotWeight, HashedAlready>,
    counters: Arc<Counters>,
    max_weight: u64,
}

/// One stored response and what it costs.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) response: StoredResponse,
    pub(super) weight: u64,
}

/// All that is stored under one key. Never changed in place: writers put a new one in its place.
pub(super) struct Slot {
    /// From the most recently published on.
    pub(super) responses: Vec<Kept>,
    pub(super) alias: Option<Arc<Alias>>,
    /// Set while the slot is in the map, so that its end is counted wherever it comes from.
    counted: Option<(Arc<Counters>, Usage)>,
    counters: Arc<Counters>,
}

#[derive(Default)]
pub(super) struct Counters {
    responses: AtomicU64,
    aliases: AtomicU64,
    bytes: AtomicU64,
}

impl Map {
    pub(super) fn new(max_bytes: u64, max_entries: Option<u64>, max_body: u64) -> Self {
        // Each shard has its part of the room for itself, so it must be a multiple of the largest entry.
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let shards = previous_power_of_two((max_bytes / max_body.max(1) / 4).clamp(1, cores * 4));
        let floor = max_entries.map_or(1, |entries| max_bytes.div_ceil(entries.max(1)).max(1));
        let items = (max_bytes / TYPICAL_ENTRY).clamp(1, max_entries.unwrap_or(u64::MAX).max(1));
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            // The shards' parts are rounded up, and the sum must not pass the limit.
            .weight_capacity(max_bytes / shards * shards)
            .hot_allocation(HOT_SHARE)
            .build();
        #[allow(clippy::expect_used, reason = "both values that options need are set above")]
        let options = options.expect("complete options");
        let cache =
            Cache::with_options(options, SlotWeight { floor }, HashedAlready, DefaultLifecycle::default());
        // What is heavier than the hot part of a shard is turned away.
        let max_weight = (cache.shard_capacity() as f64 * HOT_SHARE) as u64;
        Self { cache, counters: Arc::default(), max_weight }
    }

    /// The heaviest slot there can be.
    pub(super) fn max_weight(&self) -> u64 {
        self.max_weight
    }

    /// An empty slot, not yet in the map.
    pub(super) fn slot(&self) -> Slot {
        Slot { responses: Vec::new(), alias: None, counted: None, counters: Arc::clone(&self.counters) }
    }

    /// Reads a slot and notes its use.
    pub(super) fn get(&self, hash: u128, key: &CacheKey) -> Option<Arc<Slot>> {
        self.cache.get(&Probe { hash, key })
    }

    /// Reads a slot without noting a use.
    pub(super) fn peek(&self, hash: u128, key: &CacheKey) -> Option<Arc<Slot>> {
        self.cache.peek(&Probe { hash, key })
    }

    pub(super) fn insert(&self, hash: u128, mut slot: Slot) {
        let Some(key) = slot.heads().next().map(|head| head.key.clone()) else { return };
        slot.count();
        self.cache.insert(MapKey { hash, key }, Arc::new(slot));
    }

    pub(super) fn remove(&self, hash: u128, key: &CacheKey) -> bool {
        self.cache.remove(&Probe { hash, key }).is_some()
    }

    pub(super) fn clear(&self) {
        self.cache.clear();
    }

    /// The keys of the slots that are wanted.
    pub(super) fn keys(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<CacheKey> {
        self.cache.iter().filter(|(_, slot)| wanted(slot)).map(|(key, _)| key.key).collect()
    }

    pub(super) fn usage(&self) -> Usage {
        let Counters { responses, aliases, bytes } = &*self.counters;
        Usage::new(
            responses.load(Ordering::Relaxed),
            aliases.load(Ordering::Relaxed),
            bytes.load(Ordering::Relaxed),
        )
    }

    /// Shows each slot with the hash of its key.
    pub(super) fn for_each(&self, mut look: impl FnMut(u128, &Slot)) {
        for (key, slot) in self.cache.iter() {
            look(key.hash, &slot);
        }
    }
}

fn previous_power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

impl Kept {
    pub(super) fn new(response: StoredResponse) -> Self {
        let weight = size::of_response(&response);
        Self { response, weight }
    }
}

impl Slot {
    pub(super) fn response(&self, id: EntryId) -> Option<&StoredResponse> {
        self.responses.iter().map(|kept| &kept.response).find(|response| response.head.id == id)
    }

    /// The heads of all responses and of the alias.
    pub(super) fn heads(&self) -> impl Iterator<Item = &StoredHead> {
        let alias = self.alias.iter().map(|alias| &*alias.response.head);
        self.responses.iter().map(|kept| &*kept.response.head).chain(alias)
    }

    pub(super) fn holds(&self, keyspace: Keyspace) -> bool {
        match keyspace {
            Keyspace::Responses => !self.responses.is_empty(),
            Keyspace::Aliases => self.alias.is_some(),
        }
    }

    pub(super) fn weight(&self) -> u64 {
        if let Some((_, usage)) = &self.counted {
            return usage.bytes;
        }
        let alias = self.alias.as_ref().map_or(0, |alias| size::of_alias(alias));
        size::OF_A_SLOT + alias + self.responses.iter().map(|kept| kept.weight).sum::<u64>()
    }

    fn count(&mut self) {
        let usage = Usage::new(self.responses.len() as u64, self.alias.is_some().into(), self.weight());
        self.counters.responses.fetch_add(usage.responses, Ordering::Relaxed);
        self.counters.aliases.fetch_add(usage.aliases, Ordering::Relaxed);
        self.counters.bytes.fetch_add(usage.bytes, Ordering::Relaxed);
        self.counted = Some((Arc::clone(&self.counters), usage));
    }
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        let Self { responses, alias, counters, counted: _ } = self;
        Self {
            responses: responses.clone(),
            alias: alias.clone(),
            counted: None,
            counters: Arc::clone(counters),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some((counters, usage)) = self.counted.take() {
            counters.responses.fetch_sub(usage.responses, Ordering::Relaxed);
            counters.aliases.fetch_sub(usage.aliases, Ordering::Relaxed);
            counters.bytes.fetch_sub(usage.bytes, Ordering::Relaxed);
        }
    }
}

/// A key with its hash, so that nothing hashes it twice.
#[derive(Clone, PartialEq, Eq)]
struct MapKey {
    hash: u128,
    key: CacheKey,
}

struct Probe<'a> {
    hash: u128,
    key: &'a CacheKey,
}

impl Hash for MapKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.hash);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.hash);
    }
}

impl Equivalent<MapKey> for Probe<'_> {
    fn equivalent(&self, other: &MapKey) -> bool {
        self.hash == other.hash && *self.key == other.key
    }
}

#[derive(Clone)]
struct SlotWeight {
    floor: u64,
}

impl Weighter<MapKey, Arc<Slot>> for SlotWeight {
    fn weight(&self, _: &MapKey, slot: &Arc<Slot>) -> u64 {
        slot.weight().max(self.floor)
    }
}

#[derive(Clone)]
struct HashedAlready;

impl BuildHasher for HashedAlready {
    type Hasher = TakeHash;

    fn build_hasher(&self) -> TakeHash {
        TakeHash(0)
    }
}

struct TakeHash(u64);

impl Hasher for TakeHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
