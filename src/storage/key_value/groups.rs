//! Invalidated groups: the count of all invalidations, and for each slot of groups the number of its last one.

use super::byte_store::{ByteStore, Space};
use super::layout::number_in;
use super::shared::Shared;
use crate::entry::{GroupId, StoredHead};
use crate::random;
use crate::storage::StorageError;

/// How many invalidations there were.
const INVALIDATIONS: &str = "invalidations";
/// So many numbers of invalidations are kept at most.
const SLOTS: u32 = 1 << 14;

impl<T: ByteStore> Shared<T> {
    /// How many invalidations there were.
    pub(super) async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.number(INVALIDATIONS).await?.unwrap_or(0))
    }

    /// Whether one of the head's groups was invalidated since it was stored; `count` is of all invalidations.
    pub(super) async fn invalidated(&self, head: &StoredHead, count: u64) -> Result<bool, StorageError> {
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

    pub(super) async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
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
}

/// Groups whose ids fall into the same slot are invalidated together.
fn slot_name(group: GroupId) -> String {
    format!("invalidated-{:04x}", group.slot(SLOTS))
}
