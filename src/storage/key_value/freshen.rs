//! A head in place of a published one, over the same body.

use super::byte_store::ByteStore;
use super::shared::Shared;
use crate::entry::StoredHead;
use crate::storage::kit::check_freshened;
use crate::storage::{Fence, StorageError};

impl<T: ByteStore> Shared<T> {
    pub(super) async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        check_freshened(self.store.name(), &head)?;
        let name = head.key.hex_digest();
        let _writing = self.write(&name).await;
        let mut record = self.record(&name).await?;
        if record.fence(self.current_epoch().await?) != fence {
            return Ok(false);
        }
        let found = record.variants.iter_mut().find_map(|variant| {
            let stored = variant.response(&head.key)?.head;
            (stored.id == head.id).then_some((variant, stored.body))
        });
        let Some((variant, body)) = found else { return Ok(false) };
        *variant = variant.freshened(&StoredHead { body, ..head });
        self.put_record(&name, &record).await?;
        Ok(true)
    }
}
