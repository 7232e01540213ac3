//! Any storage as an object. So the layer needs no type parameter, and a program can choose the backend at run time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::{
    BodyReader, BodyWriter, Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage,
    StorageError, Usage,
};
use crate::clock::Timestamp;
use crate::entry::{Alias, BodyEnd, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// What [`CacheLayer::new`](crate::CacheLayer::new) accepts: a [`Storage`], an `Arc` of one, or the object that
/// [`open`](super::open) returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a storage",
    label = "expected a `Storage`, an `Arc` of one, or an `Arc<dyn DynStorage>`",
    note = "`larder::storage::open` returns a `Result` in a future: `CacheLayer::new(storage::open(url).await?)`",
    note = "a storage of your own implements `larder::storage::Storage`, or is made with `KeyValueStorage`"
)]
pub trait IntoStorage {
    /// The storage as an object.
    fn into_storage(self) -> Arc<dyn DynStorage>;
}

impl<S: Storage> IntoStorage for S {
    fn into_storage(self) -> Arc<dyn DynStorage> {
        Arc::new(self)
    }
}

impl<S: Storage> IntoStorage for Arc<S> {
    fn into_storage(self) -> Arc<dyn DynStorage> {
        self
    }
}

impl IntoStorage for Arc<dyn DynStorage> {
    fn into_storage(self) -> Self {
        self
    }
}

/// The object-safe form of [`Storage`]. Every storage implements it. [`Storage`] documents each method.
#[allow(missing_docs, reason = "documented at Storage")]
pub trait DynStorage: fmt::Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;
    fn max_body(&self) -> u64;
    fn lookup<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Lookup>;
    fn open<'a>(&'a self, head: &'a StoredHead) -> BoxFuture<'a, AnyReader>;
    fn begin(&self, head: StoredHead, fence: Fence) -> BoxFuture<'_, AnyWriter>;
    fn freshen(&self, head: StoredHead, fence: Fence) -> BoxFuture<'_, bool>;
    fn put_alias(&self, alias: Alias, fence: Fence) -> BoxFuture<'_, Published>;
    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, bool>;
    fn remove_entry<'a>(&'a self, key: &'a CacheKey, id: EntryId) -> BoxFuture<'a, bool>;
    fn invalidate<'a>(&'a self, groups: &'a [GroupId]) -> BoxFuture<'a, ()>;
    fn responses<'a>(&'a self, after: Option<&'a Cursor>, limit: usize) -> BoxFuture<'a, Page<StoredHead>>;
    fn aliases<'a>(&'a self, after: Option<&'a Cursor>, limit: usize) -> BoxFuture<'a, Page<Alias>>;
    fn usage(&self) -> BoxFuture<'_, Usage>;
    fn clear(&self, keyspace: Option<Keyspace>) -> BoxFuture<'_, ()>;
    fn maintain(&self, now: Timestamp) -> BoxFuture<'_, Maintained>;
}

impl<S: Storage> DynStorage for S {
    fn name(&self) -> &'static str {
        Storage::name(self)
    }

    fn max_body(&self) -> u64 {
        Storage::max_body(self)
    }

    fn lookup<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Lookup> {
        Box::pin(Storage::lookup(self, key))
    }

    fn open<'a>(&'a self, head: &'a StoredHead) -> BoxFuture<'a, AnyReader> {
        Box::pin(async move { Ok(AnyReader::new(Storage::open(self, head).await?)) })
    }

    fn begin(&self, head: StoredHead, fence: Fence) -> BoxFuture<'_, AnyWriter> {
        Box::pin(async move { Ok(AnyWriter(Box::new(Storage::begin(self, head, fence).await?))) })
    }

    fn freshen(&self, head: StoredHead, fence: Fence) -> BoxFuture<'_, bool> {
        Box::pin(Storage::freshen(self, head, fence))
    }

    fn put_alias(&self, alias: Alias, fence: Fence) -> BoxFuture<'_, Published> {
        Box::pin(Storage::put_alias(self, alias, fence))
    }

    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, bool> {
        Box::pin(Storage::remove(self, key))
    }

    fn remove_entry<'a>(&'a self, key: &'a CacheKey, id: EntryId) -> BoxFuture<'a, bool> {
        Box::pin(Storage::remove_entry(self, key, id))
    }

    fn invalidate<'a>(&'a self, groups: &'a [GroupId]) -> BoxFuture<'a, ()> {
        Box::pin(Storage::invalidate(self, groups))
    }

    fn responses<'a>(&'a self, after: Option<&'a Cursor>, limit: usize) -> BoxFuture<'a, Page<StoredHead>> {
        Box::pin(Storage::responses(self, after, limit))
    }

    fn aliases<'a>(&'a self, after: Option<&'a Cursor>, limit: usize) -> BoxFuture<'a, Page<Alias>> {
        Box::pin(Storage::aliases(self, after, limit))
    }

    fn usage(&self) -> BoxFuture<'_, Usage> {
        Box::pin(Storage::usage(self))
    }

    fn clear(&self, keyspace: Option<Keyspace>) -> BoxFuture<'_, ()> {
        Box::pin(Storage::clear(self, keyspace))
    }

    fn maintain(&self, now: Timestamp) -> BoxFuture<'_, Maintained> {
        Box::pin(Storage::maintain(self, now))
    }
}

/// The body writer of any storage.
pub struct AnyWriter(Box<dyn DynWriter>);

/// The body reader of any storage.
pub struct AnyReader(Box<dyn DynReader>);

impl AnyWriter {
    /// See [`BodyWriter::write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write(&mut self, data: Bytes) -> Result<(), StorageError> {
        self.0.write(data).await
    }

    /// See [`BodyWriter::publish`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn publish(self, end: BodyEnd) -> Result<Published, StorageError> {
        self.0.publish(end).await
    }

    /// See [`BodyWriter::abort`].
    pub async fn abort(self) {
        self.0.abort().await;
    }
}

impl AnyReader {
    pub(crate) fn new(reader: impl BodyReader) -> Self {
        Self(Box::new(reader))
    }

    /// See [`BodyReader::next`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        self.0.next().await
    }
}

impl fmt::Debug for AnyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyWriter").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyReader").finish_non_exhaustive()
    }
}

trait DynWriter: Send {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, ()>;
    fn publish(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, Published>;
    fn abort(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<W: BodyWriter> DynWriter for W {
    fn write(&mut self, data: Bytes) -> BoxFuture<'_, ()> {
        Box::pin(BodyWriter::write(self, data))
    }

    fn publish(self: Box<Self>, end: BodyEnd) -> BoxFuture<'static, Published> {
        Box::pin(BodyWriter::publish(*self, end))
    }

    fn abort(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(BodyWriter::abort(*self))
    }
}

trait DynReader: Send {
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>>;
}

impl<R: BodyReader> DynReader for R {
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(BodyReader::next(self))
    }
}
