//! Changes of one key, each under the lock of its fan-out directory.

use std::io;
use std::sync::Arc;

use crate::entry::{Alias, EntryId, GroupId, StoredBody, StoredHead};
use crate::key::CacheKey;
use crate::storage::{Fence, Keyspace, Published, StorageError, StorageErrorKind};

use super::Shared;
use super::chunks::Written;
use super::dir;
use super::error::{Doing, error};
use super::evict;
use super::layout::Name;
use super::lock::{Change, Locked, invalidating};
use super::maintain::recount;
use super::record::{Found, Place, Record, Variant};
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

/// Whether the key was removed since the lookup that handed out this fence. Needs the lock.
fn is_fenced_off(root: &Root, name: &Name, fence: Fence) -> Result<bool, StorageError> {
    let now = root.state.fence(name).doing("reading a fence")?;
    if now == Fence(0) {
        // The number was lost: a zero is no fence.
        root.state.raise(name).doing("writing a fence")?;
        return Ok(true);
    }
    Ok(now != fence)
}

fn insert(
    shared: &Shared,
    locked: &Locked<'_>,
    name: &Name,
    variant: Variant,
    body: Option<Written>,
) -> Result<Published, StorageError> {
    let keyspace = if variant.target.is_some() { Keyspace::Aliases } else { Keyspace::Responses };
    let change = locked.change()?;
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

pub(super) fn freshen(
    shared: &Shared,
    root: &Arc<Root>,
    mut head: StoredHead,
    fence: Fence,
) -> Result<bool, StorageError> {
    let name = Name::of(&head.key);
    let locked = Locked::take(shared, root, name.fan())?;
    if is_fenced_off(root, &name, fence)? {
        return Ok(false);
    }
    let rewritten = rewrite(locked.change()?, Keyspace::Responses, &name, shared.options.sync, |record| {
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

/// Counts an invalidation, and gives its number to the groups.
pub(super) fn invalidate(shared: &Shared, root: &Root, groups: &[GroupId]) -> Result<(), StorageError> {
    invalidating(shared, root, || root.invalidated.add(groups, shared.options.sync))
}

/// Makes the count of invalidations right again, where it was damaged.
pub(super) fn repair(shared: &Shared, root: &Root) -> Result<(), StorageError> {
    invalidating(shared, root, || root.invalidated.repair().map(drop))
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
        let rewritten = rewrite(locked.change()?, keyspace, &name, shared.options.sync, |record| {
            let position = record.position(id)?;
            Some(vec![record.variants.remove(position)])
        })?;
        removed |= matches!(rewritten, Rewritten::Changed);
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
        let gone = take_away(locked.change()?, keyspace, &name)?;
        removed |= gone.ours > 0;
    }
    Ok(removed)
}

/// What is no longer there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    /// Responses or aliases of this version.
    pub(super) ours: u64,
    /// Those of all versions.
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// Removes a key's record in one keyspace, whichever version wrote it, and the bodies it names.
pub(super) fn take_away(
    mut change: Change<'_>,
    keyspace: Keyspace,
    name: &Name,
) -> Result<Gone, StorageError> {
    let locked = change.locked();
    let root = locked.root;
    let dir = root.keyspace(keyspace);
    let found = Record::read(dir, name, root.format, false).doing("reading a record")?;
    if matches!(found, Found::Nothing) {
        change.commit()?;
        return Ok(Gone::default());
    }
    let known = matches!(&found, Found::Record { record, .. } if record.foreign.is_empty());
    let (record, len) = found.or_empty();
    dir::remove_file(dir, &name.record(root.format)).doing("removing a record")?;
    remove_bodies(root, name, &record.variants).doing("removing bodies")?;
    let ours = record.variants.len() as u64;
    // Something was there, even if it was broken.
    let gone = Gone { ours, entries: record.entries().max(1), bytes: len.saturating_add(outside(&record)) };
    if known {
        change.take_away(keyspace, record.entries(), gone.bytes);
        change.commit()?;
    } else {
        // Nobody knows what it counted for, nor which bodies were its own.
        drop(change);
        recount(locked)?;
    }
    Ok(gone)
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
    if matches!(found, Found::Broken) {
        dir::remove_file(root.keyspace(keyspace), &name.record(root.format))
            .doing("removing a broken record")?;
        recount(locked)?;
    }
    Ok(())
}

/// What became of a record that was to be changed.
#[derive(Clone, Copy, Debug)]
enum Rewritten {
    Changed,
    /// There was nothing to change.
    Unchanged,
    /// A version with another layout wrote it: it stays as it is.
    OtherVersion,
}

/// Reads a record, lets `edit` change it, writes it back, and removes the bodies of what `edit` says is gone.
/// Where `edit` returns `None`, everything stays.
fn rewrite(
    mut change: Change<'_>,
    keyspace: Keyspace,
    name: &Name,
    sync: bool,
    edit: impl FnOnce(&mut Record) -> Option<Vec<Variant>>,
) -> Result<Rewritten, StorageError> {
    let locked = change.locked();
    let root = locked.root;
    let dir = root.keyspace(keyspace);
    let found = Record::read(dir, name, root.format, false).doing("reading a record")?;
    let counted = !matches!(found, Found::Broken);
    let foreign = matches!(found, Found::OtherVersion { .. });
    let (mut record, old_len) = found.or_empty();
    let (old_entries, old_bytes) = (record.entries(), old_len.saturating_add(outside(&record)));
    let Some(gone) = edit(&mut record) else {
        change.commit()?;
        return Ok(Rewritten::Unchanged);
    };
    if foreign {
        change.commit()?;
        return Ok(Rewritten::OtherVersion);
    }
    change.take_away(keyspace, old_entries, old_bytes);
    let len = record.write(root, dir, name, sync).doing("writing a record")?;
    change.add(keyspace, record.entries(), len.saturating_add(outside(&record)));
    remove_bodies(root, name, &gone).doing("removing replaced bodies")?;
    if counted {
        change.commit()?;
    } else {
        drop(change);
        recount(locked)?;
    }
    Ok(Rewritten::Changed)
}

fn outside(record: &Record) -> u64 {
    record.variants.iter().map(Variant::outside_len).fold(0, u64::saturating_add)
}

fn remove_bodies(root: &Root, name: &Name, gone: &[Variant]) -> io::Result<()> {
    gone.iter().try_for_each(|variant| variant.remove_files(root, name))
}
