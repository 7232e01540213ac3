//! A whole storage from a plain byte store.
//!
//! [`ByteStore`] is six operations on named values; [`KeyValueStorage`] makes a [`Storage`] of it. Choose it for a
//! storage of your own that nothing here speaks to; `examples/custom_storage.rs` shows one in under a hundred lines,
//! and the suite in `conformance` (feature `conformance`) proves it. Where your store can do more (transactions, one
//! query for all that a hit needs), a [`Storage`] of your own makes better use of it.
//!
//! # Layout
//!
//! Four keyspaces, see [`Space`]. A key's digest names the value with the heads of all its responses and their small
//! bodies; large bodies are chunks of 256 KiB under the id of their response, each with a checksum.
//!
//! # Limits
//!
//! 16 variants stand under a key, and a body may have [`max_body`](KeyValueStorageBuilder::max_body) bytes (1 GiB). Nothing
//! bounds the room but the store itself: it may drop any value at any time, or you call
//! [`maintain`](Storage::maintain), which removes what can never be used again.
//!
//! # Inside
//!
//! `layout` is what stands under a key, `writer` how large bodies are cut into values, `list` lists and reclaims.

mod layout;
mod list;
mod options;
mod writer;

pub use options::KeyValueStorageBuilder;
use options::Settings;
pub use writer::{KeyValueReader, KeyValueWriter};

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use xxhash_rust::xxh3::xxh3_64;

use self::layout::{Record, Variant};
use super::kit::{Row, check_freshened, check_head, row};
use super::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, StorageErrorKind,
    Usage,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::entry::{Alias, EntryId, GroupId, StoredHead, codec};
use crate::key::CacheKey;
use crate::random;

const STRIPES: usize = 64;
/// Changed by every clearing.
const EPOCH: &str = "epoch";
/// How many invalidations there were.
const INVALIDATIONS: &str = "invalidations";
/// So many numbers of invalidations are kept at most.
const SLOTS: u32 = 1 << 14;

/// A store of named values: all that is needed for a storage of your own.
///
/// A map, a table, a bucket or a directory will do. Names consist of lower-case hexadecimal digits, `-` and the
/// letters of `epoch`, and are at most 120 bytes long. Values are up to 300 KiB, or more where many variants of a
/// response are stored inline.
///
/// The operations must be as atomic as a map's are: a value that is being replaced is read as the old one or the new
/// one. Nothing else is asked for; where a value is lost or damaged, the cache forgets a response. Only the
/// [marks](Space::Marks) are to be kept for as long as responses are: one that is lost can make a response valid again
/// that was invalidated.
///
/// `examples/custom_storage.rs` shows one in full.
pub trait ByteStore: fmt::Debug + Send + Sync + 'static {
    /// A short lower-case name for logs and errors.
    fn name(&self) -> &'static str;

    /// The value of this name.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn get(
        &self,
        space: Space,
        name: &str,
    ) -> impl Future<Output = Result<Option<Bytes>, StorageError>> + Send;

    /// Stores or replaces the value of this name.
    ///
    /// # Errors
    ///
    /// When it could not be stored.
    fn put(
        &self,
        space: Space,
        name: &str,
        value: Bytes,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Removes the value of this name. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn remove(&self, space: Space, name: &str) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// The first `limit` names after `after`, or from the first one on, in ascending order of their bytes.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn list(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<String>, StorageError>> + Send;

    /// How many values there are.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn len(&self, space: Space) -> impl Future<Output = Result<u64, StorageError>> + Send;

    /// Removes all values.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked; some may then be gone.
    fn clear(&self, space: Space) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// A keyspace of a [`ByteStore`]: give each its own map, table, prefix or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Space {
    /// One value per key: the heads of its responses, and their bodies as far as they are small.
    Responses,
    /// One value per redirect alias.
    Aliases,
    /// The chunks of large bodies.
    Bodies,
    /// A few small values that say what was invalidated.
    Marks,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Responses, Self::Aliases, Self::Bodies, Self::Marks];

    /// A name for a table or directory: `responses`, `aliases`, `bodies` or `marks`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Aliases => "aliases",
            Self::Bodies => "bodies",
            Self::Marks => "marks",
        }
    }
}

/// A [`Storage`] over a [`ByteStore`].
///
/// A small response is one value; a lookup reads that one and the alias's, and one per group of what it finds.
/// Larger bodies are streamed in values of 256 KiB that are verified before they are handed out. Values are written
/// before the head that names them, so that a response is visible with its whole body or not at all.
///
/// What it does not do:
///
/// * It does not bound the room: let the store do that. It may drop any value at any time.
/// * Several handles see each other's data, and fences hold between them, but only clones of one handle (or one
///   `Arc`) write to the same key one after the other. Between separate handles and processes the last writer wins:
///   a removal in the very moment in which another process publishes under the same key can be lost, as the
///   operations of [`ByteStore`] give no means to prevent it.
/// * [`usage`](Storage::usage) and [`maintain`](Storage::maintain) read all heads.
pub struct KeyValueStorage<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    store: T,
    inline: usize,
    max_body: u64,
    /// Held from reading a key's record to writing it; clearing waits for all.
    stripes: Box<[Mutex<()>]>,
    gate: RwLock<()>,
    /// The epoch as last seen. One that is out of date refuses a fill too many, and is then up to date.
    epoch: AtomicU64,
    /// The bodies that are being written through this handle.
    writing: Arc<SyncMutex<HashSet<EntryId>>>,
}

impl<T: ByteStore> KeyValueStorage<T> {
    /// A storage over this store, with what is in it.
    #[must_use]
    pub fn new(store: T) -> Self {
        Self::with(store, Settings::default())
    }

    /// A storage over this store with other options.
    pub fn builder(store: T) -> KeyValueStorageBuilder<T> {
        KeyValueStorageBuilder::new(store)
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &T {
        &self.inner.store
    }

    fn with(store: T, Settings { inline, max_body }: Settings) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::const_new(())).collect();
        let (gate, epoch, writing) = (RwLock::const_new(()), AtomicU64::new(0), Arc::default());
        Self { inner: Arc::new(Inner { store, inline, max_body, stripes, gate, epoch, writing }) }
    }
}

impl<T> Clone for KeyValueStorage<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: ByteStore> fmt::Debug for KeyValueStorage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueStorage").field("store", &self.inner.store).finish_non_exhaustive()
    }
}

impl<T: ByteStore> Storage for KeyValueStorage<T> {
    type Writer = KeyValueWriter<T>;
    type Reader = KeyValueReader<T>;

    fn name(&self) -> &'static str {
        self.inner.store.name()
    }

    fn max_body(&self) -> u64 {
        self.inner.max_body
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let inner = &*self.inner;
        let name = key.hex_digest();
        let epoch = inner.epoch.load(Ordering::Acquire);
        let as_of = inner.count().await?;
        let record = inner.record(&name).await?;
        let fence = record.fence(epoch);
        let mut responses = Vec::with_capacity(record.variants.len());
        for variant in &record.variants {
            if let Some(mut response) = variant.response(key) {
                response.invalidated = inner.invalidated(&response.head, as_of).await?;
                responses.push(response);
            }
        }
        let alias = match inner.alias_row(&name, Some(key)).await?.and_then(Row::found) {
            Some(mut alias) => {
                alias.response.invalidated = inner.invalidated(&alias.response.head, as_of).await?;
                Some(Arc::new(alias))
            }
            None => None,
        };
        Ok(Lookup { responses, alias, fence, as_of })
    }

    async fn open(&self, head: &StoredHead) -> Result<KeyValueReader<T>, StorageError> {
        writer::open(&self.inner, head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<KeyValueWriter<T>, StorageError> {
        check_head(self.inner.store.name(), &head)?;
        writer::begin(&self.inner, head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        let inner = &*self.inner;
        check_freshened(inner.store.name(), &head)?;
        let name = head.key.hex_digest();
        let _writing = inner.write(&name).await;
        let mut record = inner.record(&name).await?;
        if record.fence(inner.current_epoch().await?) != fence {
            return Ok(false);
        }
        let found = record.variants.iter_mut().find_map(|variant| {
            let stored = variant.response(&head.key)?.head;
            (stored.id == head.id).then_some((variant, stored.body))
        });
        let Some((variant, body)) = found else { return Ok(false) };
        *variant = variant.freshened(&StoredHead { body, ..head });
        inner.put_record(&name, &record).await?;
        Ok(true)
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        let inner = &*self.inner;
        check_head(inner.store.name(), &alias.response.head)?;
        let Some(value) = codec::encode_alias(&alias) else {
            return Err(
                inner.error(StorageErrorKind::Invalid, "storing an alias whose body did not come with it")
            );
        };
        let name = alias.response.head.key.hex_digest();
        let _writing = inner.write(&name).await;
        if inner.record(&name).await?.fence(inner.current_epoch().await?) != fence
            // There is room for one alias, so that of another version keeps its place.
            || inner.alias_row(&name, None).await?.is_some_and(|row| row.is_other_version())
        {
            return Ok(Published::Superseded);
        }
        inner.store.put(Space::Aliases, &name, value.into()).await?;
        Ok(Published::Stored)
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let inner = &*self.inner;
        let name = key.hex_digest();
        let _writing = inner.write(&name).await;
        let record = inner.record(&name).await?;
        // What stays says that something was removed, so that no fill under way brings it back.
        inner.put_record(&name, &Record::removed(SystemClock.now())).await?;
        let alias = inner.store.remove(Space::Aliases, &name).await?;
        for variant in &record.variants {
            inner.remove_body(&name, variant).await?;
        }
        Ok(alias || record.variants.iter().any(|variant| !variant.is_foreign()))
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let inner = &*self.inner;
        let name = key.hex_digest();
        let removed = inner.retain(&name, |head| head.key != *key || head.id != id).await?;
        Ok(removed > 0)
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.inner.invalidate(groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.inner.list_responses(after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.inner.list_aliases(after, limit).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.inner.usage().await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        let inner = &*self.inner;
        let _writing = inner.gate.write().await;
        inner.next_epoch().await?;
        let spaces: &[Space] = match keyspace {
            None => &[Space::Responses, Space::Bodies, Space::Aliases],
            Some(Keyspace::Responses) => &[Space::Responses, Space::Bodies],
            Some(Keyspace::Aliases) => &[Space::Aliases],
        };
        for space in spaces {
            inner.store.clear(*space).await?;
        }
        Ok(())
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        let expired = self.inner.remove_expired(now).await?;
        Ok(Maintained::new(expired, self.inner.remove_orphans(now).await?))
    }
}

impl<T: ByteStore> Inner<T> {
    /// What stands under a key; garbage is nothing.
    async fn record(&self, name: &str) -> Result<Record, StorageError> {
        Ok(self
            .store
            .get(Space::Responses, name)
            .await?
            .map_or_else(Record::default, |value| Record::decode(&value)))
    }

    async fn put_record(&self, name: &str, record: &Record) -> Result<(), StorageError> {
        if record.is_blank() {
            self.store.remove(Space::Responses, name).await.map(drop)
        } else {
            self.store.put(Space::Responses, name, record.encode()).await
        }
    }

    async fn alias(&self, name: &str) -> Result<Option<Alias>, StorageError> {
        Ok(self.alias_row(name, None).await?.and_then(Row::found))
    }

    async fn alias_row(
        &self,
        name: &str,
        key: Option<&CacheKey>,
    ) -> Result<Option<Row<Alias>>, StorageError> {
        let value = self.store.get(Space::Aliases, name).await?;
        Ok(value.map(|value| row::alias(&value, key)))
    }

    async fn publish(
        &self,
        head: StoredHead,
        variant: Variant,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        let name = head.key.hex_digest();
        let _writing = self.write(&name).await;
        let mut record = self.record(&name).await?;
        if record.other_layout || record.fence(self.current_epoch().await?) != fence {
            return Ok(Published::Superseded);
        }
        let replaced = record.publish(&head, variant);
        self.put_record(&name, &record).await?;
        for variant in replaced {
            self.remove_body(&name, &variant).await?;
        }
        Ok(Published::Stored)
    }

    /// Keeps under a name only the responses and the alias that `keep` wants; returns how many went.
    async fn retain(&self, name: &str, keep: impl Fn(&StoredHead) -> bool) -> Result<u64, StorageError> {
        let _writing = self.write(name).await;
        let mut record = self.record(name).await?;
        let (kept, gone): (Vec<_>, Vec<_>) =
            record.variants.drain(..).partition(|variant| match variant.head() {
                Some(head) => keep(&head),
                None => variant.is_foreign(),
            });
        let mut removed = gone.len() as u64;
        if removed > 0 {
            record.variants = kept;
            self.put_record(name, &record).await?;
        }
        for variant in &gone {
            self.remove_body(name, variant).await?;
        }
        if self.alias(name).await?.is_some_and(|alias| !keep(&alias.response.head)) {
            self.store.remove(Space::Aliases, name).await?;
            removed += 1;
        }
        Ok(removed)
    }

    async fn remove_body(&self, name: &str, variant: &Variant) -> Result<(), StorageError> {
        let Variant::Streamed { started, .. } = variant else { return Ok(()) };
        let Some(head) = variant.head() else { return Ok(()) };
        // As many as there are, and not as many as a head claims that somebody else may have written. What stands behind
        // one that was lost is found by maintenance.
        for chunk in 0..writer::chunks(head.body_len()) {
            if !self.store.remove(Space::Bodies, &writer::name(name, *started, head.id, chunk)).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether one of the head's groups was invalidated since it was stored; `count` is of all invalidations.
    async fn invalidated(&self, head: &StoredHead, count: u64) -> Result<bool, StorageError> {
        // It may have been stored since the count was read.
        let count = if count < head.as_of { self.count().await? } else { count };
        if count <= head.as_of {
            // With a higher number it is from before the count was lost; what was counted since then is not known.
            return Ok(count < head.as_of);
        }
        for group in head.group_ids() {
            let latest = self.store.get(Space::Marks, &slot_name(group)).await?;
            // One that cannot be read says that nobody knows.
            if latest.is_some_and(|latest| number_in(&latest).is_none_or(|number| number > head.as_of)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many invalidations there were.
    async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.number(INVALIDATIONS).await?.unwrap_or(0))
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        let _writing = self.write(INVALIDATIONS).await;
        // A count that was lost does not begin with numbers that were given before.
        let before = self.number(INVALIDATIONS).await?.unwrap_or_else(|| random::nonzero64() >> 12);
        let number = before.saturating_add(1);
        self.put_number(INVALIDATIONS, number).await?;
        for group in groups {
            self.put_number(&slot_name(*group), number).await?;
        }
        Ok(())
    }

    async fn number(&self, name: &str) -> Result<Option<u64>, StorageError> {
        let value = self.store.get(Space::Marks, name).await?;
        Ok(value.as_deref().and_then(number_in))
    }

    async fn put_number(&self, name: &str, number: u64) -> Result<(), StorageError> {
        self.store.put(Space::Marks, name, Bytes::copy_from_slice(&number.to_le_bytes())).await
    }

    async fn current_epoch(&self) -> Result<u64, StorageError> {
        let epoch = self.number(EPOCH).await?.unwrap_or(0);
        self.epoch.store(epoch, Ordering::Release);
        Ok(epoch)
    }

    /// From now on, no fence handed out before is good.
    async fn next_epoch(&self) -> Result<(), StorageError> {
        let epoch = random::nonzero64();
        self.put_number(EPOCH, epoch).await?;
        self.epoch.store(epoch, Ordering::Release);
        Ok(())
    }

    async fn write(&self, name: &str) -> (RwLockReadGuard<'_, ()>, MutexGuard<'_, ()>) {
        let gate = self.gate.read().await;
        let index = xxh3_64(name.as_bytes()) as usize % STRIPES;
        #[allow(clippy::indexing_slicing, reason = "there are STRIPES stripes")]
        let stripe = self.stripes[index].lock().await;
        (gate, stripe)
    }

    fn writing(&self) -> std::sync::MutexGuard<'_, HashSet<EntryId>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, kind: StorageErrorKind, action: impl Into<String>) -> StorageError {
        StorageError::new(kind, self.store.name(), action)
    }
}

/// The number in such a value; `None` where it is damaged.
fn number_in(value: &[u8]) -> Option<u64> {
    <[u8; 8]>::try_from(value).ok().map(u64::from_le_bytes)
}

/// Groups whose ids fall into the same slot are invalidated together.
fn slot_name(group: GroupId) -> String {
    format!("invalidated-{:04x}", group.slot(SLOTS))
}
