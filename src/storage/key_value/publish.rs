//! Publication of responses and aliases.

use super::byte_store::{ByteStore, Space};
use super::layout::Variant;
use super::shared::Shared;
use crate::entry::{Alias, StoredHead, codec};
use crate::storage::kit::check_head;
use crate::storage::{Fence, Published, StorageError, StorageErrorKind};

impl<T: ByteStore> Shared<T> {
    pub(super) async fn publish(
        &self,
        head: StoredHead,
        variant: Variant,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        let name = head.key.hex_digest();
        let _writing = self.write(&name).await;
        let mut record = self.record(&name).await?;
        if record.other_layout || record.fence(self.current_epoch().await?) != fence {
            return Ok(Published::Superseded);
        }
        let replaced = record.publish(&head, variant);
        self.put_record(&name, &record).await?;
        for variant in replaced {
            self.remove_body(&name, &variant).await?;
        }
        Ok(Published::Stored)
    }

    pub(super) async fn publish_alias(&self, alias: &Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(self.store.name(), &alias.response.head)?;
        let Some(value) = codec::encode_alias(alias) else {
            let action = "storing an alias whose body did not come with it";
            return Err(self.error(StorageErrorKind::Invalid, action));
        };
        let name = alias.response.head.key.hex_digest();
        let _writing = self.write(&name).await;
        if self.record(&name).await?.fence(self.current_epoch().await?) != fence
            // There is room for one alias, so that of another version keeps its place.
            || self.alias_row(&name, None).await?.is_some_and(|row| row.is_other_version())
        {
            return Ok(Published::Superseded);
        }
        self.store.put(Space::Aliases, &name, value.into()).await?;
        Ok(Published::Stored)
    }
}
