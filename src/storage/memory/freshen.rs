//! A head in place of a published one, over the same body.

use std::sync::Arc;

use super::NAME;
use super::map::Kept;
use super::shared::Shared;
use super::size::own_head;
use crate::entry::{StoredHead, StoredResponse};
use crate::storage::kit::check_freshened;
use crate::storage::{Fence, Keyspace, StorageError};

impl Shared {
    pub(super) fn freshen(&self, mut head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        check_freshened(NAME, &head)?;
        own_head(&mut head);
        let hash = head.key.hash128();
        let fences = self.stripe(hash);
        if fences.refuse(hash, Keyspace::Responses, fence) {
            return Ok(false);
        }
        let Some(slot) = self.map.peek(hash, &head.key) else { return Ok(false) };
        let Some(position) = slot.responses.iter().position(|kept| kept.response.head.id == head.id) else {
            return Ok(false);
        };
        let mut slot = (*slot).clone();
        let key = head.key.clone();
        if let Some(kept) = slot.responses.get_mut(position) {
            head.body = kept.response.head.body;
            let body = kept.response.body.clone();
            *kept = Kept::new(StoredResponse { head: Arc::new(head), body, invalidated: false });
        }
        self.place(hash, &key, slot);
        Ok(true)
    }
}
