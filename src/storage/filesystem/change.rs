//! Changes of one key, each under the lock of its fan-out directory.

use std::io;
use std::sync::Arc;

use crate::entry::{Alias, EntryId, StoredBody, StoredHead};
use crate::key::CacheKey;
use crate::storage::{Fence, Keyspace, Published, StorageError, StorageErrorKind};

use super::Shared;
use super::blocks::Written;
use super::dir;
use super::error::{Doing, error};
use super::evict;
use super::layout::Name;
use super::lock::{Change, Locked};
use super::maintain::recount;
use super::record::{Found, Garbage, Place, Record, Variant};
use super::root::Root;

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
    let locked = Locked::take(shared, root, name.fan())?;
    let now = root.state.fence(name).doing("reading a fence")?;
    if now != fence || now == Fence(0) {
        if now == Fence(0) {
            root.state.raise(name).doing("writing a fence")?;
        }
        return Ok(Published::Superseded);
    }
    let stored = insert(shared, &locked, name, variant, body);
    if stored.is_err() {
        // The body may be in its place without a head.
        let _ = recount(&locked);
    }
    stored.map(|()| Published::Stored)
}

fn insert(
    shared: &Shared,
    locked: &Locked<'_>,
    name: &Name,
    variant: Variant,
    body: Option<Written>,
) -> Result<(), StorageError> {
    let keyspace = if variant.target.is_some() { Keyspace::Aliases } else { Keyspace::Responses };
    let change = locked.change()?;
    if let (Some(body), Place::File { extension }) = (body, &variant.place) {
        let path = name.body(variant.head.id, extension);
        body.place(locked.root, &path, shared.options.sync).doing("putting a body in its place")?;
    }
    let most = shared.options.max_variants;
    rewrite(change, keyspace, name, shared.options.sync, |record| {
        let replaced = record
            .variants
            .extract_if(.., |old| keyspace == Keyspace::Aliases || replaces(&variant.head, &old.head));
        let mut gone: Vec<_> = replaced.collect();
        record.variants.insert(0, variant);
        gone.extend(record.variants.drain(most.min(record.variants.len())..));
        Some(gone)
    })?;
    Ok(())
}

/// Whether publishing `new` replaces `old`. What stands in the wrong file is replaced by anything.
fn replaces(new: &StoredHead, old: &StoredHead) -> bool {
    old.id == new.id || old.key != new.key || (old.selecting == new.selecting && old.range == new.range)
}

pub(super) fn put_alias(
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
    head.body = Some(crate::entry::BodySummary::of(&body));
    let variant = Variant { head: Arc::new(head), place: Place::Inline(body), target: Some(alias.target) };
    publish(shared, root, variant, None, fence)
}

pub(super) fn freshen(shared: &Shared, root: &Arc<Root>, mut head: StoredHead) -> Result<bool, StorageError> {
    let name = Name::of(&head.key);
    let locked = Locked::take(shared, root, name.fan())?;
    rewrite(locked.change()?, Keyspace::Responses, &name, shared.options.sync, |record| {
        let position = record.position(head.id)?;
        let variant = record.variants.get_mut(position)?;
        if variant.head.key != head.key {
            return None;
        }
        head.body = variant.head.body;
        variant.head = Arc::new(head);
        Some(Vec::new())
    })
}

pub(super) fn remove_entry(
    shared: &Shared,
    root: &Arc<Root>,
    key: &CacheKey,
    id: EntryId,
) -> Result<bool, StorageError> {
    let name = Name::of(key);
    let locked = Locked::take(shared, root, name.fan())?;
    let mut removed = false;
    for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
        removed |= rewrite(locked.change()?, keyspace, &name, shared.options.sync, |record| {
            let position = record.position(id)?;
            Some(vec![record.variants.remove(position)])
        })?;
    }
    Ok(removed)
}

pub(super) fn remove(shared: &Shared, root: &Arc<Root>, key: &CacheKey) -> Result<bool, StorageError> {
    let name = Name::of(key);
    let locked = Locked::take(shared, root, name.fan())?;
    // First the fence: a crash between the two must not let an old fill through.
    root.state.raise(&name).doing("writing a fence")?;
    let mut removed = false;
    for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
        removed |= rewrite(locked.change()?, keyspace, &name, shared.options.sync, |record| {
            Some(std::mem::take(&mut record.variants)).filter(|gone| !gone.is_empty())
        })?;
        discard_locked(&locked, keyspace, &name)?;
    }
    Ok(removed)
}

/// Removes a record that turned out to be broken, if it still is.
pub(super) fn discard(
    shared: &Shared,
    root: &Arc<Root>,
    keyspace: Keyspace,
    name: &Name,
) -> Result<(), StorageError> {
    let locked = Locked::take(shared, root, name.fan())?;
    discard_locked(&locked, keyspace, name)
}

fn discard_locked(locked: &Locked<'_>, keyspace: Keyspace, name: &Name) -> Result<(), StorageError> {
    let root = locked.root;
    let found = Record::read(root.keyspace(keyspace), name, root.format, false).doing("reading a record")?;
    if matches!(found, Found::Garbage(Garbage::Broken)) {
        dir::remove_file(root.keyspace(keyspace), &name.record(root.format))
            .doing("removing a broken record")?;
        recount(locked)?;
    }
    Ok(())
}

/// Reads a record, lets `edit` change it, writes it back, and removes the bodies of what `edit` says is gone.
/// Where `edit` returns `None`, everything stays, and the answer is `false`.
fn rewrite(
    mut change: Change<'_>,
    keyspace: Keyspace,
    name: &Name,
    sync: bool,
    edit: impl FnOnce(&mut Record) -> Option<Vec<Variant>>,
) -> Result<bool, StorageError> {
    let locked = change.locked();
    let root = locked.root;
    let dir = root.keyspace(keyspace);
    let found = Record::read(dir, name, root.format, false).doing("reading a record")?;
    let counted = !matches!(found, Found::Garbage(_));
    let (mut record, old_len) = found.or_empty();
    change.take_away(keyspace, record.variants.len() as u64, old_len + outside(&record));
    let Some(gone) = edit(&mut record) else {
        change.add(keyspace, record.variants.len() as u64, old_len + outside(&record));
        change.commit()?;
        return Ok(false);
    };
    let len = record.write(root, dir, name, sync).doing("writing a record")?;
    change.add(keyspace, record.variants.len() as u64, len + outside(&record));
    remove_bodies(root, name, &gone).doing("removing replaced bodies")?;
    if counted {
        change.commit()?;
    } else {
        drop(change);
        recount(locked)?;
    }
    Ok(true)
}

fn outside(record: &Record) -> u64 {
    record.variants.iter().map(Variant::outside_len).fold(0, u64::saturating_add)
}

fn remove_bodies(root: &Root, name: &Name, gone: &[Variant]) -> io::Result<()> {
    gone.iter().try_for_each(|variant| variant.remove_files(root, name))
}
