//! Removal of one key or entry, and clearing.

use aws_sdk_dynamodb::types::WriteRequest;

use super::Shared;
use super::calls::delete_of;
use super::error::condition_failed;
use super::heads::HeadRef;
use super::layout::{self, ALIAS, CHUNK, GENERATION, ID, Item, KIND, PK, RESPONSE, SK};
use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::storage::{Keyspace, StorageError};

/// Deletes are collected up to this many before they are sent.
const TOGETHER: usize = 100;

impl Shared {
    /// Removes everything under a key; says whether there was anything.
    pub(super) async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let pk = self.keys.entry(key);
        self.new_epoch(&pk).await?;
        let found = self.heads(&pk).await?;
        self.delete_heads(&pk, &found).await?;
        Ok(!found.is_empty())
    }

    /// Deletes heads, then their bodies: chunks that are in the way of nobody may stay behind, a head may not.
    pub(super) async fn delete_heads(&self, pk: &str, heads: &[HeadRef]) -> Result<(), StorageError> {
        let deletes = heads.iter().map(|head| delete_of(layout::key_of(pk, &head.sk)));
        self.write_all("removing what is stored under a key", deletes.collect::<Result<_, _>>()?).await?;
        self.delete_chunks(pk, heads).await
    }

    /// Removes the one response or alias with this id.
    pub(super) async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let pk = self.keys.entry(key);
        let found = self.heads(&pk).await?;
        let Some(found) = found.into_iter().find(|found| found.id == Some(id)) else { return Ok(false) };
        if !self.delete_if_id(&pk, &found.sk, id).await? {
            return Ok(false);
        }
        self.delete_chunks(&pk, [&found]).await?;
        Ok(true)
    }

    pub(super) async fn delete_if_id(&self, pk: &str, sk: &str, id: EntryId) -> Result<bool, StorageError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(pk, sk)))
            .condition_expression("#id = :id")
            .set_expression_attribute_names(layout::names(&[ID]))
            .expression_attribute_values(":id", layout::text(id.to_string()));
        match delete.send().await {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error) => Ok(false),
            Err(error) => Err(self.failed("removing a response")(error)),
        }
    }

    /// Removes an item that cannot be read, unless it was replaced meanwhile.
    pub(super) async fn delete_garbage(&self, pk: &str, sk: &str, id: Option<String>) {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(pk, sk)))
            .set_expression_attribute_names(layout::names(&[ID]));
        let delete = match id {
            Some(id) => {
                delete.condition_expression("#id = :id").expression_attribute_values(":id", layout::text(id))
            }
            None => delete.condition_expression("attribute_not_exists(#id)"),
        };
        // The next reader tries again.
        drop(delete.send().await);
    }

    /// Fences off the fills under way, then deletes what was stored under an older generation.
    pub(super) async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        let generation = self.new_generation().await?;
        let covered = |item: &Item| {
            let kind = match layout::get_text(item, KIND) {
                Some(RESPONSE | CHUNK) => keyspace != Some(Keyspace::Aliases),
                Some(ALIAS) => keyspace != Some(Keyspace::Responses),
                _ => false,
            };
            // What was published meanwhile, after a lookup that saw the clearing, stays; so do the chunks of a body
            // that is on its way.
            kind && layout::get_number(item, GENERATION) != Some(generation)
        };
        let mut deletes = Vec::new();
        let mut from = None;
        loop {
            let only = [PK, SK, KIND, GENERATION];
            let scanned = self.scan("clearing", &only, None, None, from).await?;
            for item in scanned.items.iter().filter(|item| covered(item)) {
                deletes.extend(delete(item)?);
            }
            from = scanned.next;
            if from.is_none() || deletes.len() >= TOGETHER {
                self.write_all("clearing", std::mem::take(&mut deletes)).await?;
            }
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

fn delete(item: &Item) -> Result<Option<WriteRequest>, StorageError> {
    let (Some(pk), Some(sk)) = (layout::get_text(item, PK), layout::get_text(item, SK)) else {
        return Ok(None);
    };
    delete_of(layout::key_of(pk, sk)).map(Some)
}
