//! Freshening: a head takes the place of another one (RFC 9111 section 3.2).

use std::sync::Arc;

use crate::entry::StoredHead;
use crate::storage::{Fence, Keyspace, StorageError};

use super::change::Change;
use super::fence::is_fenced_off;
use super::layout::Name;
use super::rewrite::{Rewritten, rewrite};
use super::root::Root;
use super::shared::Shared;

pub(super) fn freshen(
    shared: &Shared,
    root: &Arc<Root>,
    mut head: StoredHead,
    fence: Fence,
) -> Result<bool, StorageError> {
    let name = Name::of(&head.key);
    let locked = shared.locks.take(root, name.fan())?;
    if is_fenced_off(root, &name, fence)? {
        return Ok(false);
    }
    let rewritten =
        rewrite(Change::begin(&locked)?, Keyspace::Responses, &name, shared.options.sync, |record| {
            let position = record.position(head.id)?;
            let variant = record.variants.get_mut(position)?;
            if variant.head.key != head.key {
                return None;
            }
            head.body = variant.head.body;
            variant.head = Arc::new(head);
            Some(Vec::new())
        });
    Ok(matches!(rewritten?, Rewritten::Changed))
}
