//! Publication: a response or an alias becomes visible in place of those it replaces.

use std::sync::Arc;

use crate::entry::StoredHead;
use crate::storage::{Fence, Keyspace, Published, StorageError};

use super::change::Change;
use super::chunks::Written;
use super::count::recount;
use super::error::Doing;
use super::fence::is_fenced_off;
use super::layout::Name;
use super::lock::Locked;
use super::record::{Place, Variant};
use super::rewrite::{Rewritten, rewrite};
use super::root::Root;
use super::shared::Shared;
use super::{dir, evict};

/// Makes a response or an alias visible, with its body, unless its key was removed since the lookup.
pub(super) fn publish(
    shared: &Shared,
    root: &Arc<Root>,
    variant: Variant,
    body: Option<Written>,
    fence: Fence,
) -> Result<Published, StorageError> {
    let name = Name::of(&variant.head.key);
    let result = publish_locked(shared, root, &name, variant, body, fence);
    if let Ok(Published::Stored) = &result {
        // The response is stored; that the limits are not yet kept is no reason to say otherwise.
        let _ = evict::make_room(shared, root);
    }
    result
}

fn publish_locked(
    shared: &Shared,
    root: &Arc<Root>,
    name: &Name,
    variant: Variant,
    body: Option<Written>,
    fence: Fence,
) -> Result<Published, StorageError> {
    let locked = shared.locks.take(root, name.fan())?;
    if is_fenced_off(root, name, fence)? {
        return Ok(Published::Superseded);
    }
    let stored = insert(shared, &locked, name, variant, body);
    if stored.is_err() {
        // The body may be in its place without a head.
        let _ = recount(&locked);
    }
    stored
}

fn insert(
    shared: &Shared,
    locked: &Locked<'_>,
    name: &Name,
    variant: Variant,
    body: Option<Written>,
) -> Result<Published, StorageError> {
    let keyspace = if variant.target.is_some() { Keyspace::Aliases } else { Keyspace::Responses };
    let change = Change::begin(locked)?;
    let root = locked.root;
    let files = variant.files(name, root.format);
    if let (Some(body), Place::File { extension }) = (body, &variant.place) {
        let path = name.body(variant.head.id, extension);
        body.place(root, &path, shared.options.sync).doing("putting a body in its place")?;
    }
    let most = shared.options.max_variants;
    let written = rewrite(change, keyspace, name, shared.options.sync, |record| {
        let replaced = record
            .variants
            .extract_if(.., |old| keyspace == Keyspace::Aliases || replaces(&variant.head, &old.head));
        let mut gone: Vec<_> = replaced.collect();
        record.variants.insert(0, variant);
        gone.extend(record.variants.drain(most.min(record.variants.len())..));
        // Each version keeps the limit for its own; two of them leave each other's alone.
        record.foreign.truncate(most);
        Some(gone)
    });
    match written? {
        Rewritten::Changed | Rewritten::Unchanged => Ok(Published::Stored),
        // Another version keeps the responses of this key in a form that cannot be added to, and keeps them. That says
        // nothing about the storage, so it is no error.
        Rewritten::OtherVersion => {
            // Nobody could tell it from a body of the other version.
            for file in files {
                dir::remove_file(&root.bodies, &file).doing("removing a body without a head")?;
            }
            Ok(Published::Superseded)
        }
    }
}

/// Whether publishing `new` replaces `old`. A response in the wrong file is always replaced.
fn replaces(new: &StoredHead, old: &StoredHead) -> bool {
    old.id == new.id || old.key != new.key || (old.selecting == new.selecting && old.range == new.range)
}
