//! Removal of a key, of one response, and of everything.

use super::byte_store::{ByteStore, Space};
use super::layout::{Record, Variant, chunk_name, chunks};
use super::shared::Shared;
use crate::clock::{Clock, SystemClock};
use crate::entry::{EntryId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{Keyspace, StorageError};

impl<T: ByteStore> Shared<T> {
    pub(super) async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let name = key.hex_digest();
        let _writing = self.write(&name).await;
        let record = self.record(&name).await?;
        // What stays says that something was removed, so that no fill under way brings it back.
        self.put_record(&name, &Record::removed(SystemClock.now())).await?;
        let alias = self.store.remove(Space::Aliases, &name).await?;
        for variant in &record.variants {
            self.remove_body(&name, variant).await?;
        }
        Ok(alias || record.variants.iter().any(|variant| !variant.is_foreign()))
    }

    pub(super) async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let name = key.hex_digest();
        let removed = self.retain(&name, |head| head.key != *key || head.id != id).await?;
        Ok(removed > 0)
    }

    pub(super) async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        let _writing = self.gate.write().await;
        self.next_epoch().await?;
        let spaces: &[Space] = match keyspace {
            None => &[Space::Responses, Space::Bodies, Space::Aliases],
            Some(Keyspace::Responses) => &[Space::Responses, Space::Bodies],
            Some(Keyspace::Aliases) => &[Space::Aliases],
        };
        for space in spaces {
            self.store.clear(*space).await?;
        }
        Ok(())
    }

    /// Keeps under a name only the responses and the alias that `keep` wants; returns how many went.
    pub(super) async fn retain(
        &self,
        name: &str,
        keep: impl Fn(&StoredHead) -> bool,
    ) -> Result<u64, StorageError> {
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

    pub(super) async fn remove_body(&self, name: &str, variant: &Variant) -> Result<(), StorageError> {
        let Variant::Streamed { started, .. } = variant else { return Ok(()) };
        let Some(head) = variant.head() else { return Ok(()) };
        // As many as there are, and not as many as a head claims that somebody else may have written. What stands behind
        // one that was lost is found by maintenance.
        for chunk in 0..chunks(head.body_len()) {
            if !self.store.remove(Space::Bodies, &chunk_name(name, *started, head.id, chunk)).await? {
                break;
            }
        }
        Ok(())
    }
}
