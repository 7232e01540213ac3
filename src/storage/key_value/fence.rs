//! Which removals a fill must not undo: a key's record has the mark of its last removal, the store has an epoch that
//! every clearing changes, and a fence is a hash of both (`layout::Record::fence`).

use std::sync::atomic::Ordering;

use super::byte_store::ByteStore;
use super::shared::Shared;
use crate::random;
use crate::storage::StorageError;

/// Changed by every clearing.
const EPOCH: &str = "epoch";

impl<T: ByteStore> Shared<T> {
    pub(super) async fn current_epoch(&self) -> Result<u64, StorageError> {
        let epoch = self.number(EPOCH).await?.unwrap_or(0);
        self.epoch.store(epoch, Ordering::Release);
        Ok(epoch)
    }

    /// From now on, no fence handed out before is good.
    pub(super) async fn next_epoch(&self) -> Result<(), StorageError> {
        let epoch = random::nonzero64();
        self.put_number(EPOCH, epoch).await?;
        self.epoch.store(epoch, Ordering::Release);
        Ok(())
    }
}
