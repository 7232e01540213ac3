//! Redirect aliases: a record of one response with its target.

use std::sync::Arc;

use crate::entry::{Alias, BodySummary, StoredBody};
use crate::storage::{Fence, Published, StorageError, StorageErrorKind};

use super::error::error;
use super::publish::publish;
use super::record::{Place, Variant};
use super::root::Root;
use super::shared::Shared;

pub(super) fn put(
    shared: &Shared,
    root: &Arc<Root>,
    alias: Alias,
    fence: Fence,
) -> Result<Published, StorageError> {
    let body = match alias.response.body {
        StoredBody::Inline(body) => body,
        StoredBody::Shared(pieces) => pieces.concat().into(),
        StoredBody::Streamed => {
            return Err(error(StorageErrorKind::Invalid, "storing an alias: its body must be at hand"));
        }
    };
    let mut head = Arc::unwrap_or_clone(alias.response.head);
    head.body = Some(BodySummary::of(&body));
    let variant = Variant { head: Arc::new(head), place: Place::Inline(body), target: Some(alias.target) };
    publish(shared, root, variant, None, fence)
}
