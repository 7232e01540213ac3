//! A storage that fails, hangs or loses bodies as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder::clock::Timestamp;
use larder::entry::{Alias, BodyEnd, EntryId, GroupId, StoredHead};
use larder::key::CacheKey;
use larder::storage::MemoryStorage;
use larder::storage::{
    BodyReader, BodyWriter, Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage,
    StorageError, StorageErrorKind, Usage,
};

/// How the storage behaves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Mood {
    Fine = 0,
    Fails = 1,
    Hangs = 2,
    FailsToWrite = 3,
    HangsOnWrite = 4,
    LosesBodies = 5,
    FailsToInvalidate = 6,
    HangsOnInvalidating = 7,
    /// As over a network: writing takes round trips.
    FarAway = 8,
    FailsToRemove = 9,
}

pub(crate) const MOODS: [Mood; 10] = [
    Mood::Fine,
    Mood::Fails,
    Mood::Hangs,
    Mood::FailsToWrite,
    Mood::HangsOnWrite,
    Mood::LosesBodies,
    Mood::FailsToInvalidate,
    Mood::HangsOnInvalidating,
    Mood::FarAway,
    Mood::FailsToRemove,
];

#[derive(Debug, Clone)]
pub(super) struct Moody {
    pub(crate) inner: Arc<MemoryStorage>,
    mood: Arc<AtomicU8>,
}

impl Moody {
    pub(super) fn new(mood: Mood) -> Self {
        Self { inner: Arc::new(MemoryStorage::new()), mood: Arc::new(AtomicU8::new(mood as u8)) }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    fn mood(&self) -> Mood {
        MOODS[usize::from(self.mood.load(Ordering::SeqCst))]
    }

    async fn check(&self, failing: &[Mood]) -> Result<(), StorageError> {
        let mood = self.mood();
        if !failing.contains(&mood) {
            return Ok(());
        }
        if matches!(mood, Mood::Hangs | Mood::HangsOnWrite | Mood::HangsOnInvalidating) {
            std::future::pending::<()>().await;
        }
        Err(StorageError::new(StorageErrorKind::Unavailable, "moody", "out of order"))
    }

    async fn read(&self) -> Result<(), StorageError> {
        self.check(&[Mood::Fails, Mood::Hangs]).await
    }

    async fn write(&self) -> Result<(), StorageError> {
        if self.mood() == Mood::FarAway {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.check(&[Mood::Fails, Mood::Hangs, Mood::FailsToWrite, Mood::HangsOnWrite]).await
    }
}

pub(super) struct MoodyWriter(<MemoryStorage as Storage>::Writer, Moody);
pub(super) struct MoodyReader(<MemoryStorage as Storage>::Reader);

impl BodyWriter for MoodyWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        self.1.write().await?;
        self.0.write(data).await
    }

    async fn publish(self, end: BodyEnd) -> Result<Published, StorageError> {
        self.1.write().await?;
        self.0.publish(end).await
    }

    async fn abort(self) {
        self.0.abort().await;
    }
}

impl BodyReader for MoodyReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        self.0.next().await
    }
}

impl Storage for Moody {
    type Writer = MoodyWriter;
    type Reader = MoodyReader;

    fn name(&self) -> &'static str {
        "moody"
    }

    fn max_body(&self) -> u64 {
        Storage::max_body(&*self.inner)
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.read().await?;
        let mut found = Storage::lookup(&*self.inner, key).await?;
        if self.mood() == Mood::LosesBodies {
            for response in &mut found.responses {
                response.body = larder::entry::StoredBody::Streamed;
            }
        }
        Ok(found)
    }

    async fn open(&self, head: &StoredHead) -> Result<MoodyReader, StorageError> {
        if self.mood() == Mood::LosesBodies {
            return Err(StorageError::new(StorageErrorKind::Missing, "moody", "opening a body"));
        }
        Ok(MoodyReader(Storage::open(&*self.inner, head).await?))
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<MoodyWriter, StorageError> {
        self.write().await?;
        Ok(MoodyWriter(Storage::begin(&*self.inner, head, fence).await?, self.clone()))
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        self.write().await?;
        Storage::freshen(&*self.inner, head, fence).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        self.write().await?;
        Storage::put_alias(&*self.inner, alias, fence).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        self.write().await?;
        Storage::remove(&*self.inner, key).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.write().await?;
        self.check(&[Mood::FailsToRemove]).await?;
        Storage::remove_entry(&*self.inner, key, id).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.write().await?;
        self.check(&[Mood::FailsToInvalidate, Mood::HangsOnInvalidating]).await?;
        Storage::invalidate(&*self.inner, groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        Storage::responses(&*self.inner, after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        Storage::aliases(&*self.inner, after, limit).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        Storage::usage(&*self.inner).await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        Storage::clear(&*self.inner, keyspace).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        Storage::maintain(&*self.inner, now).await
    }
}
