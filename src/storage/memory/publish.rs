//! Publication of responses and aliases.

use std::sync::Arc;

use bytes::Bytes;

use super::NAME;
use super::map::Kept;
use super::shared::Shared;
use super::size::own_head;
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};
use crate::storage::{Fence, Keyspace, Published, StorageError, StorageErrorKind};

/// The most variants kept under one key.
const MAX_VARIANTS: usize = 16;

impl Shared {
    pub(super) fn publish(
        &self,
        head: StoredHead,
        body: StoredBody,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        let kept = Kept::new(StoredResponse { head: Arc::new(head), body, invalidated: false });
        if kept.weight > self.map.max_weight() {
            return Err(self.too_large());
        }
        let head = Arc::clone(&kept.response.head);
        let hash = head.key.hash128();
        let fences = self.stripe(hash);
        if fences.refuse(hash, Keyspace::Responses, fence) {
            return Ok(Published::Superseded);
        }
        let mut slot = self.map.peek(hash, &head.key).map_or_else(|| self.map.slot(), |slot| (*slot).clone());
        slot.responses.retain(|old| !head.replaces(&old.response.head));
        slot.responses.insert(0, kept);
        slot.responses.truncate(MAX_VARIANTS);
        self.place(hash, &head.key, slot);
        Ok(Published::Stored)
    }

    pub(super) fn publish_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        let alias = Arc::new(owned_alias(alias)?);
        let key = &alias.response.head.key;
        let hash = key.hash128();
        let fences = self.stripe(hash);
        if fences.refuse(hash, Keyspace::Aliases, fence) {
            return Ok(Published::Superseded);
        }
        let mut slot = self.map.peek(hash, key).map_or_else(|| self.map.slot(), |slot| (*slot).clone());
        slot.alias = Some(Arc::clone(&alias));
        self.place(hash, key, slot);
        Ok(Published::Stored)
    }
}

fn owned_alias(alias: Alias) -> Result<Alias, StorageError> {
    let body = match &alias.response.body {
        StoredBody::Inline(bytes) => Bytes::copy_from_slice(bytes),
        StoredBody::Shared(chunks) => chunks.concat().into(),
        StoredBody::Streamed => {
            let action = "storing an alias whose body did not come with it";
            return Err(StorageError::new(StorageErrorKind::Invalid, NAME, action));
        }
    };
    let mut head = StoredHead::clone(&alias.response.head);
    own_head(&mut head);
    head.body = Some(BodySummary::of(&body));
    let response =
        StoredResponse { head: Arc::new(head), body: StoredBody::Inline(body), invalidated: false };
    Ok(Alias { response, target: alias.target })
}
