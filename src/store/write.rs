//! Writing to the storage: responses, aliases and heads.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{Room, Store};
use crate::entry::{Alias, BodyEnd, EntryId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{AnyWriter, Fence, Published, StorageError, StorageErrorKind};
use crate::underway::Mark;

impl Store {
    /// Whether to begin to store anything. It is `false` for a while after the storage failed to write.
    pub(crate) fn takes_writes(&self) -> bool {
        self.shared.health.writes.allows()
    }

    /// Announces a publication: requests for the key wait until the mark is dropped.
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

    /// Counts the result of storing a response.
    pub(crate) fn filled(&self, result: &Result<Published, StorageError>) {
        match result {
            Ok(Published::Stored) => self.counters().count(|counters| &counters.stored),
            Ok(Published::Superseded) | Err(_) => self.not_filled(),
        }
    }

    /// Counts a response that was to be stored, and is not.
    pub(crate) fn not_filled(&self) {
        self.counters().count(|counters| &counters.abandoned);
    }

    pub(crate) async fn begin(&self, head: StoredHead, fence: Fence) -> Result<AnyWriter, StorageError> {
        let begun = self.within("beginning to store", self.storage.begin(head, fence)).await;
        self.heard_beginning(&begun);
        begun
    }

    pub(crate) async fn write(&self, writer: &mut AnyWriter, data: Bytes) -> Result<(), StorageError> {
        let written = self.within("writing a body", Box::pin(writer.write(data))).await;
        self.heard_beginning(&written);
        written
    }

    pub(crate) async fn publish(&self, writer: AnyWriter, end: BodyEnd) -> Result<Published, StorageError> {
        let published = self.within("publishing", Box::pin(writer.publish(end))).await;
        self.heard_writing(&published);
        published
    }

    pub(crate) async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        let put = self.within("storing an alias", self.storage.put_alias(alias, fence)).await;
        self.heard_writing(&put);
        put
    }

    /// Writes an alias. The caller does not wait.
    pub(crate) fn put_alias_beside(&self, alias: Alias, fence: Fence) {
        if !self.takes_writes() {
            return;
        }
        let (store, mark) = (self.clone(), self.mark(&alias.response.head.key));
        self.run_or_spawn(async move {
            let _ = store.put_alias(alias, fence).await;
            drop(mark);
        });
    }

    /// Writes a head back. The caller does not wait. While the breaker is open nothing is written, and the next request
    /// validates again.
    pub(crate) fn freshen_beside(&self, head: Arc<StoredHead>, fence: Fence) {
        if !self.takes_writes() {
            return;
        }
        let (store, mark) = (self.clone(), self.mark(&head.key));
        self.run_or_spawn(async move {
            let head = Arc::unwrap_or_clone(head);
            let freshened = store.within("freshening", store.storage.freshen(head, fence)).await;
            store.heard_writing(&freshened);
            drop(mark);
        });
    }

    /// Removes one stored response. The caller does not wait.
    pub(crate) fn remove_entry_beside(&self, head: &StoredHead) {
        if !self.takes_writes() {
            return;
        }
        let (store, mark) = (self.clone(), self.mark(&head.key));
        let (key, id) = (head.key.clone(), head.id);
        self.run_or_spawn(async move {
            store.remove_entries(&key, [id]).await;
            drop(mark);
        });
    }

    /// Removes stored responses that are no longer useful. If that fails, the newer `Date` wins on reuse.
    pub(crate) async fn remove_entries(&self, key: &CacheKey, ids: impl IntoIterator<Item = EntryId>) {
        for id in ids {
            let removed = self.within("removing a response", self.storage.remove_entry(key, id)).await;
            self.heard_writing(&removed);
        }
    }

    /// Records the result of a write.
    fn heard_writing<T>(&self, result: &Result<T, StorageError>) {
        // A body over the limit says nothing about the storage.
        if !result.as_ref().is_err_and(|error| error.kind() == StorageErrorKind::TooLarge) {
            self.shared.health.heard(&self.shared.health.writes, result);
        }
    }

    /// Records failures only: what the storage has accepted is not yet written.
    fn heard_beginning<T>(&self, result: &Result<T, StorageError>) {
        if result.is_err() {
            self.heard_writing(result);
        }
    }
}
