//! Removing everything that is stored for a URI, under all keys.

use std::pin::Pin;

use super::Store;
use crate::entry::{GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::StorageError;

/// Listed at once: bounds the memory and the time of one operation.
const PAGE: usize = 256;

impl Store {
    /// Invalidates these groups, then removes all that is in one of them, and all whose key has the same URI as `key`.
    /// Returns how many responses and redirects were removed.
    pub(crate) async fn purge(
        &self,
        groups: Vec<GroupId>,
        key: Option<CacheKey>,
    ) -> Result<u64, StorageError> {
        self.invalidate_now(groups.clone()).await?;
        let uri = key.as_ref().and_then(CacheKey::uri);
        let concerned = |head: &StoredHead| {
            uri.is_some_and(|uri| head.key.uri() == Some(uri))
                || head.group_ids().any(|id| groups.contains(&id))
        };
        let mut removed = self.purge_responses(&concerned).await?;
        removed += self.purge_aliases(&concerned).await?;
        if let Some(key) = &key {
            // Fences off what is on its way to the most usual key. Under the others it is stored, and is invalid.
            removed += u64::from(self.purging(self.storage.remove(key)).await?);
        }
        Ok(removed)
    }

    async fn purge_responses(&self, concerned: &impl Fn(&StoredHead) -> bool) -> Result<u64, StorageError> {
        let (mut removed, mut after) = (0, None);
        loop {
            let page = self.purging(self.storage.responses(after.as_ref(), PAGE)).await?;
            for head in page.items.iter().filter(|head| concerned(head)) {
                removed += u64::from(self.purging(self.storage.remove_entry(&head.key, head.id)).await?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }

    async fn purge_aliases(&self, concerned: &impl Fn(&StoredHead) -> bool) -> Result<u64, StorageError> {
        let (mut removed, mut after) = (0, None);
        loop {
            let page = self.purging(self.storage.aliases(after.as_ref(), PAGE)).await?;
            let heads = page.items.iter().map(|alias| &*alias.response.head);
            for head in heads.filter(|head| concerned(head)) {
                let gone = self.purging(self.storage.remove_entry(&head.key, head.id)).await?;
                // The others are notes of the cache's own on equivalent queries.
                removed += u64::from(gone && head.status.is_redirection());
            }
            after = page.next;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }

    /// One operation of a purge. The caller is told of a failure, and it is counted.
    async fn purging<T>(
        &self,
        operation: Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + '_>>,
    ) -> Result<T, StorageError> {
        let done = self.within("purging", operation).await;
        if let Err(error) = &done {
            self.shared.health.trouble(error);
        }
        done
    }
}
