//! What stands under a key, with what invalidated it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::byte_store::ByteStore;
use super::shared::Shared;
use crate::key::CacheKey;
use crate::storage::kit::Row;
use crate::storage::{Lookup, StorageError};

impl<T: ByteStore> Shared<T> {
    pub(super) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let name = key.hex_digest();
        let epoch = self.epoch.load(Ordering::Acquire);
        let as_of = self.count().await?;
        let record = self.record(&name).await?;
        let fence = record.fence(epoch);
        let mut responses = Vec::with_capacity(record.variants.len());
        for variant in &record.variants {
            if let Some(mut response) = variant.response(key) {
                response.invalidated = self.invalidated(&response.head, as_of).await?;
                responses.push(response);
            }
        }
        let alias = match self.alias_row(&name, Some(key)).await?.and_then(Row::found) {
            Some(mut alias) => {
                alias.response.invalidated = self.invalidated(&alias.response.head, as_of).await?;
                Some(Arc::new(alias))
            }
            None => None,
        };
        Ok(Lookup { responses, alias, fence, as_of })
    }
}
