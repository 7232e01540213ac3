//! What all clones of a storage share: the store, the locks, and reading and writing what stands under a key.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard as SyncMutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use xxhash_rust::xxh3::xxh3_64;

use super::byte_store::{ByteStore, Space};
use super::layout::{Record, number_in};
use super::options::Options;
use crate::entry::{Alias, EntryId};
use crate::key::CacheKey;
use crate::storage::kit::{Row, row};
use crate::storage::{StorageError, StorageErrorKind};

const STRIPES: usize = 64;

pub(super) struct Shared<T> {
    pub(super) store: T,
    pub(super) options: Options,
    /// Held from reading a key's record to writing it; clearing waits for all.
    stripes: Box<[Mutex<()>]>,
    pub(super) gate: RwLock<()>,
    /// The epoch as last seen. One that is out of date refuses a fill too many, and is then up to date.
    pub(super) epoch: AtomicU64,
    /// The bodies that are being written through this handle.
    pub(super) writing: Arc<SyncMutex<HashSet<EntryId>>>,
}

impl<T> Shared<T> {
    pub(super) fn new(store: T, options: Options) -> Self {
        Self {
            store,
            options,
            stripes: (0..STRIPES).map(|_| Mutex::const_new(())).collect(),
            gate: RwLock::const_new(()),
            epoch: AtomicU64::new(0),
            writing: Arc::default(),
        }
    }
}

impl<T: ByteStore> Shared<T> {
    /// What stands under a key; garbage is nothing.
    pub(super) async fn record(&self, name: &str) -> Result<Record, StorageError> {
        let value = self.store.get(Space::Responses, name).await?;
        Ok(value.map_or_else(Record::default, |value| Record::decode(&value)))
    }

    pub(super) async fn put_record(&self, name: &str, record: &Record) -> Result<(), StorageError> {
        if record.is_blank() {
            self.store.remove(Space::Responses, name).await.map(drop)
        } else {
            self.store.put(Space::Responses, name, record.encode()).await
        }
    }

    pub(super) async fn alias(&self, name: &str) -> Result<Option<Alias>, StorageError> {
        Ok(self.alias_row(name, None).await?.and_then(Row::found))
    }

    pub(super) async fn alias_row(
        &self,
        name: &str,
        key: Option<&CacheKey>,
    ) -> Result<Option<Row<Alias>>, StorageError> {
        let value = self.store.get(Space::Aliases, name).await?;
        Ok(value.map(|value| row::alias(&value, key)))
    }

    /// The number that stands under this name among the marks; `None` where there is none, or where it is damaged.
    pub(super) async fn number(&self, name: &str) -> Result<Option<u64>, StorageError> {
        let value = self.store.get(Space::Marks, name).await?;
        Ok(value.as_deref().and_then(number_in))
    }

    pub(super) async fn put_number(&self, name: &str, number: u64) -> Result<(), StorageError> {
        self.store.put(Space::Marks, name, Bytes::copy_from_slice(&number.to_le_bytes())).await
    }

    /// Waits for the other writers of a name.
    pub(super) async fn write(&self, name: &str) -> (RwLockReadGuard<'_, ()>, MutexGuard<'_, ()>) {
        let gate = self.gate.read().await;
        let index = xxh3_64(name.as_bytes()) as usize % STRIPES;
        #[allow(clippy::indexing_slicing, reason = "there are STRIPES stripes")]
        let stripe = self.stripes[index].lock().await;
        (gate, stripe)
    }

    pub(super) fn writing(&self) -> SyncMutexGuard<'_, HashSet<EntryId>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, kind: StorageErrorKind, action: impl Into<String>) -> StorageError {
        StorageError::new(kind, self.store.name(), action)
    }
}
