//! Stored responses in this process's memory.
//!
//! Choose [`MemoryStorage`] where one process asks again and again and a restart may begin from nothing: its hits are
//! the fastest, and there is nothing to clean up. By URL it is `memory:?max_bytes=64MiB`.
//!
//! # Limits
//!
//! [`max_bytes`](MemoryStorageBuilder::max_bytes) (256 MiB) counts heads, keys and the map beside the bodies;
//! [`max_entries`](MemoryStorageBuilder::max_entries) is unlimited unless set; a body may take a 32nd part of all the room, and
//! 16 variants stand under a key. What is of little use goes when room is needed, and what can never be used again also
//! with [`maintain`](Storage::maintain).
//!
//! # Inside
//!
//! [`MemoryStorage`] is the contract over `map` (the bounded map), `writer` (gathering what is written), `fence`
//! (recent removals), `groups` (invalidated groups) and `size` (what an entry costs).

mod fence;
mod groups;
mod map;
mod options;
mod size;
mod writer;

pub use options::MemoryStorageBuilder;
pub(crate) use options::SCHEMES;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::fence::Fences;
use self::groups::Invalidations;
use self::map::{Kept, Map, Slot};
use self::options::Settings;
use self::writer::{Chunks, Gathered, InFlight};
use super::kit::check_freshened;
use super::{
    BodyReader, BodyWriter, Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage,
    StorageError, StorageErrorKind, Usage,
};
use crate::clock::Timestamp;
use crate::entry::{Alias, BodyEnd, BodySummary, EntryId, GroupId, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;

const NAME: &str = "memory";
/// The most variants kept under one key.
const MAX_VARIANTS: usize = 16;
/// Writers of different keys rarely meet on the same lock.
const STRIPES: usize = 64;

/// Keeps stored responses in memory, for as long as the process lives.
///
/// The room is bounded by bytes and, where wanted, by entries; both limits hold at every moment. Heads, keys and
/// the map itself are counted as well as bodies. What goes first when room is needed is decided by a CLOCK-Pro
/// policy (of the `quick_cache` crate) that a scan over many URLs does not flush. All variants of a key, and its
/// alias, are evicted together.
///
/// Clones are handles on the same data. A hit copies neither head nor body.
///
/// ```
/// use larder::storage::MemoryStorage;
///
/// let storage = MemoryStorage::builder().max_bytes(64 * 1024 * 1024).max_entries(10_000).build()?;
/// # let _ = storage;
/// # Ok::<_, larder::storage::StorageError>(())
/// ```
///
/// Listing goes through everything stored for each page; ask for large pages.
#[derive(Clone)]
pub struct MemoryStorage {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    map: Map,
    /// Writers of a key hold its lock from reading the old slot to placing the new one; lookups take none.
    stripes: Box<[Mutex<Fences>]>,
    /// Counts removals. A lookup's fence is the number of the last removal before it.
    removals: AtomicU64,
    invalidations: Invalidations,
    in_flight: InFlight,
}

impl MemoryStorage {
    /// An empty storage for at most 256 MiB, with bodies of at most 8 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// A storage with other limits.
    pub fn builder() -> MemoryStorageBuilder {
        MemoryStorageBuilder::default()
    }

    fn with(settings: Settings) -> Self {
        let map = Map::new(settings.max_bytes, settings.max_entries, settings.max_body);
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        let inner = Inner {
            settings,
            map,
            stripes,
            removals: AtomicU64::new(0),
            invalidations: Invalidations::new(),
            in_flight: InFlight::new(settings.max_bytes),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Storage for MemoryStorage {
    type Writer = MemoryWriter;
    type Reader = MemoryReader;

    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body(&self) -> u64 {
        self.inner.settings.max_body
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        Ok(self.inner.lookup(key))
    }

    async fn open(&self, head: &StoredHead) -> Result<MemoryReader, StorageError> {
        let slot = self.inner.map.peek(head.key.hash128(), &head.key);
        let response = slot.as_ref().and_then(|slot| slot.response(head.id)).ok_or_else(|| {
            StorageError::new(StorageErrorKind::Missing, NAME, format!("opening body {}", head.id))
        })?;
        Ok(MemoryReader(Chunks::new(response.body.clone())))
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<MemoryWriter, StorageError> {
        let limit = self.inner.settings.max_body;
        let announced = head.body.map(|body| body.len);
        if announced.is_some_and(|len| len > limit) {
            return Err(too_large(limit));
        }
        let body = Gathered::new(announced);
        Ok(MemoryWriter { inner: Arc::clone(&self.inner), head: Some(head), fence, body, limit })
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        check_freshened(NAME, &head)?;
        Ok(self.inner.freshen(head, fence))
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        self.inner.put_alias(alias, fence)
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        Ok(self.inner.remove(key))
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        Ok(self.inner.retain(key, |head| head.id != id) > 0)
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.inner.invalidations.add(groups);
        Ok(())
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.inner.map.page(after, limit, |slot, found| {
            for kept in &slot.responses {
                found(kept.response.head.id, &|| (*kept.response.head).clone());
            }
        })
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.inner.map.page(after, limit, |slot, found| {
            if let Some(alias) = &slot.alias {
                found(alias.response.head.id, &|| (**alias).clone());
            }
        })
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        Ok(self.inner.map.usage())
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.inner.clear(keyspace);
        Ok(())
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        let mut expired = 0;
        for key in self.inner.map.keys(|slot| slot.heads().any(|head| head.usable_until <= now)) {
            expired += self.inner.retain(&key, |head| head.usable_until > now);
        }
        Ok(Maintained::new(expired, 0))
    }
}

impl Inner {
    fn lookup(&self, key: &CacheKey) -> Lookup {
        // Before the map is read, so that a removal in between refuses the fill.
        let fence = Fence(self.removals.load(Ordering::Acquire));
        let as_of = self.invalidations.count();
        let Some(slot) = self.map.get(key.hash128(), key) else {
            return Lookup { fence, as_of, ..Lookup::default() };
        };
        let responses = slot.responses.iter().map(|kept| self.marked(&kept.response)).collect();
        let alias = slot.alias.as_ref().map(|alias| self.marked_alias(alias));
        Lookup { responses, alias, fence, as_of }
    }

    fn marked(&self, response: &StoredResponse) -> StoredResponse {
        let mut response = response.clone();
        response.invalidated = self.invalidations.cover(&response.head);
        response
    }

    fn marked_alias(&self, alias: &Arc<Alias>) -> Arc<Alias> {
        let marked = self.invalidations.cover(&alias.response.head);
        if marked == alias.response.invalidated {
            return Arc::clone(alias);
        }
        let response = StoredResponse { invalidated: marked, ..alias.response.clone() };
        Arc::new(Alias { response, target: alias.target.clone() })
    }

    fn publish(&self, head: StoredHead, body: StoredBody, fence: Fence) -> Result<Published, StorageError> {
        let kept = Kept::new(StoredResponse { head: Arc::new(head), body, invalidated: false });
        if kept.weight > self.map.max_weight() {
            return Err(too_large(self.settings.max_body));
        }
        let head = Arc::clone(&kept.response.head);
        let hash = head.key.hash128();
        let fences = self.stripe(hash);
        if fences.refuse(hash, Keyspace::Responses, fence) {
            return Ok(Published::Superseded);
        }
        let mut slot = self.map.peek(hash, &head.key).map_or_else(|| self.map.slot(), |slot| (*slot).clone());
        slot.responses.retain(|old| !head.replaces(&old.response.head));
        slot.responses.insert(0, kept);
        slot.responses.truncate(MAX_VARIANTS);
        self.place(hash, &head.key, slot);
        Ok(Published::Stored)
    }

    fn freshen(&self, mut head: StoredHead, fence: Fence) -> bool {
        own_head(&mut head);
        let hash = head.key.hash128();
        let fences = self.stripe(hash);
        if fences.refuse(hash, Keyspace::Responses, fence) {
            return false;
        }
        let Some(slot) = self.map.peek(hash, &head.key) else { return false };
        let Some(position) = slot.responses.iter().position(|kept| kept.response.head.id == head.id) else {
            return false;
        };
        let mut slot = (*slot).clone();
        let key = head.key.clone();
        if let Some(kept) = slot.responses.get_mut(position) {
            head.body = kept.response.head.body;
            let body = kept.response.body.clone();
            *kept = Kept::new(StoredResponse { head: Arc::new(head), body, invalidated: false });
        }
        self.place(hash, &key, slot);
        true
    }

    fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        let alias = Arc::new(owned_alias(alias)?);
        let key = &alias.response.head.key;
        let hash = key.hash128();
        let fences = self.stripe(hash);
        if fences.refuse(hash, Keyspace::Aliases, fence) {
            return Ok(Published::Superseded);
        }
        let mut slot = self.map.peek(hash, key).map_or_else(|| self.map.slot(), |slot| (*slot).clone());
        slot.alias = Some(Arc::clone(&alias));
        self.place(hash, key, slot);
        Ok(Published::Stored)
    }

    fn remove(&self, key: &CacheKey) -> bool {
        let hash = key.hash128();
        let mut fences = self.stripe(hash);
        let removed = self.map.remove(hash, key);
        // After the map, so that no lookup gets the new number with the old response.
        let number = self.removals.fetch_add(1, Ordering::AcqRel) + 1;
        fences.removed(hash, number);
        removed
    }

    /// Keeps under a key only what `keep` says; returns how much went.
    fn retain(&self, key: &CacheKey, keep: impl Fn(&StoredHead) -> bool) -> u64 {
        let hash = key.hash128();
        let _writing = self.stripe(hash);
        let Some(slot) = self.map.peek(hash, key) else { return 0 };
        let before = slot.heads().count();
        let left = slot.heads().filter(|head| keep(head)).count();
        if left < before {
            let mut slot = (*slot).clone();
            slot.responses.retain(|kept| keep(&kept.response.head));
            slot.alias = slot.alias.take().filter(|alias| keep(&alias.response.head));
            self.place(hash, key, slot);
        }
        (before - left) as u64
    }

    fn clear(&self, keyspace: Option<Keyspace>) {
        // Every writer waits until all is gone and the number is drawn.
        let mut stripes: Vec<_> = self.stripes.iter().map(lock).collect();
        match keyspace {
            None => self.map.clear(),
            Some(keyspace) => {
                for key in self.map.keys(|slot| slot.holds(keyspace)) {
                    let hash = key.hash128();
                    let Some(slot) = self.map.peek(hash, &key) else { continue };
                    let mut slot = (*slot).clone();
                    match keyspace {
                        Keyspace::Responses => slot.responses.clear(),
                        Keyspace::Aliases => slot.alias = None,
                    }
                    self.place(hash, &key, slot);
                }
            }
        }
        let number = self.removals.fetch_add(1, Ordering::AcqRel) + 1;
        for fences in &mut stripes {
            fences.cleared(keyspace, number);
        }
    }

    /// Puts a slot in place of the one before. The caller holds the key's stripe.
    fn place(&self, hash: u128, key: &CacheKey, mut slot: Slot) {
        while slot.weight() > self.map.max_weight() && slot.responses.len() > 1 {
            slot.responses.pop();
        }
        if slot.heads().next().is_none() {
            self.map.remove(hash, key);
        } else {
            self.map.insert(hash, slot);
        }
    }

    fn stripe(&self, hash: u128) -> MutexGuard<'_, Fences> {
        // The low bits choose the map's shard.
        let index = (hash >> 64) as usize % STRIPES;
        #[allow(clippy::indexing_slicing, reason = "there are STRIPES stripes")]
        lock(&self.stripes[index])
    }
}

fn lock(stripe: &Mutex<Fences>) -> MutexGuard<'_, Fences> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_large(limit: u64) -> StorageError {
    StorageError::new(StorageErrorKind::TooLarge, NAME, format!("storing a body of more than {limit} bytes"))
}

/// Key and fields often are slices of a connection's read buffer, which they would keep alive.
fn own_head(head: &mut StoredHead) {
    if let Some(key) = CacheKey::from_canonical(Bytes::copy_from_slice(head.key.canonical())) {
        head.key = key;
    }
    size::own_fields(&mut head.headers);
    if let Some(trailers) = &mut head.trailers {
        size::own_fields(trailers);
    }
}

fn owned_alias(alias: Alias) -> Result<Alias, StorageError> {
    let body = match &alias.response.body {
        StoredBody::Inline(bytes) => Bytes::copy_from_slice(bytes),
        StoredBody::Shared(pieces) => pieces.concat().into(),
        StoredBody::Streamed => {
            let action = "storing an alias whose body did not come with it";
            return Err(StorageError::new(StorageErrorKind::Invalid, NAME, action));
        }
    };
    let mut head = StoredHead::clone(&alias.response.head);
    own_head(&mut head);
    head.body = Some(BodySummary::of(&body));
    let response =
        StoredResponse { head: Arc::new(head), body: StoredBody::Inline(body), invalidated: false };
    Ok(Alias { response, target: alias.target })
}

/// Writes one body into memory.
pub struct MemoryWriter {
    inner: Arc<Inner>,
    /// Taken when it is published.
    head: Option<StoredHead>,
    fence: Fence,
    body: Gathered,
    limit: u64,
}

impl fmt::Debug for MemoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWriter").field("written", &self.body.len()).finish_non_exhaustive()
    }
}

impl BodyWriter for MemoryWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        let more = data.len() as u64;
        if self.body.len().saturating_add(more) > self.limit {
            return Err(too_large(self.limit));
        }
        if !self.inner.in_flight.reserve(more) {
            let action = "writing a body while others being written take all the room";
            return Err(StorageError::new(StorageErrorKind::Full, NAME, action));
        }
        self.body.push(data);
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        let Some(mut head) = self.head.take() else { return Ok(Published::Superseded) };
        let (summary, body) = self.body.finish();
        head.finish(summary, end);
        own_head(&mut head);
        self.inner.publish(head, body, self.fence)
    }

    async fn abort(self) {}
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.inner.in_flight.release(self.body.len());
    }
}

/// Hands out one body's pieces.
#[derive(Debug)]
pub struct MemoryReader(Chunks);

impl BodyReader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        Ok(self.0.next())
    }
}
