//! Maintenance: what can never be used again goes.

use super::byte_store::{ByteStore, Space};
use super::layout::parse_chunk_name;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::entry::EntryId;
use crate::storage::{Maintained, StorageError};

/// How long a removal is remembered, and an unpublished body is taken for one that another process is writing.
const GRACE_SECS: i64 = 3600;

impl<T: ByteStore> Shared<T> {
    pub(super) async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        let expired = self.remove_expired(now).await?;
        Ok(Maintained::new(expired, self.remove_orphans(now).await?))
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StorageError> {
        let (mut expired, mut after, mut forgotten) = (0, None, false);
        while let Some(names) = self.names(Space::Responses, &mut after).await? {
            for name in names {
                expired += self.retain(&name, |head| head.usable_until > now).await?;
                forgotten |= self.forget_removal(&name, now).await?;
            }
        }
        let mut after = None;
        while let Some(names) = self.names(Space::Aliases, &mut after).await? {
            for name in names {
                expired += self.retain(&name, |head| head.usable_until > now).await?;
            }
        }
        if forgotten {
            // A fill that is older than a removal that was forgotten must still be refused.
            self.next_epoch().await?;
        }
        Ok(expired)
    }

    async fn forget_removal(&self, name: &str, now: Timestamp) -> Result<bool, StorageError> {
        let _writing = self.write(name).await;
        let old = self.record(name).await?.is_removal_before(now.plus_millis(-1000 * GRACE_SECS));
        if old {
            self.store.remove(Space::Responses, name).await?;
        }
        Ok(old)
    }

    async fn remove_orphans(&self, now: Timestamp) -> Result<u64, StorageError> {
        let (mut orphans, mut after) = (0, None);
        let mut last: Option<(EntryId, bool)> = None;
        while let Some(names) = self.names(Space::Bodies, &mut after).await? {
            // After the names and before the records, so that what is published meanwhile is one or the other.
            let writing = self.writing().clone();
            for name in names {
                let orphan = match (parse_chunk_name(&name), last) {
                    (None, _) => true,
                    (Some((_, _, id)), Some((before, orphan))) if id == before => orphan,
                    (Some((key, started, id)), _) => {
                        let begun = Timestamp::from_secs(i64::try_from(started).unwrap_or(i64::MAX));
                        let young = now.millis_since(begun) < 1000 * GRACE_SECS;
                        let orphan = !young && !writing.contains(&id) && !self.is_published(key, id).await?;
                        last = Some((id, orphan));
                        orphan
                    }
                };
                if orphan && self.store.remove(Space::Bodies, &name).await? {
                    orphans += 1;
                }
            }
        }
        Ok(orphans)
    }

    async fn is_published(&self, name: &str, id: EntryId) -> Result<bool, StorageError> {
        let record = self.record(name).await?;
        // Which bodies another version's heads name, only that can tell.
        Ok(record.is_shared()
            || record.variants.iter().any(|variant| variant.head().is_some_and(|head| head.id == id)))
    }
}
