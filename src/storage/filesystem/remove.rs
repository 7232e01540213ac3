//! Removal of what is stored under a key, and of everything.

use std::io;
use std::sync::Arc;

use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::storage::{Keyspace, StorageError};

use super::change::Change;
use super::count::recount;
use super::error::Doing;
use super::layout::{Name, fans};
use super::lock::Locked;
use super::record::Record;
use super::record_file::{Found, record_names};
use super::rewrite::{Rewritten, rewrite, take_away};
use super::root::Root;
use super::shared::Shared;
use super::{dir, temp};

pub(super) fn remove(shared: &Shared, root: &Arc<Root>, key: &CacheKey) -> Result<bool, StorageError> {
    let name = Name::of(key);
    let locked = shared.locks.take(root, name.fan())?;
    // First the fence: a crash between the two must not let an old fill through.
    root.state.raise(&name).doing("writing a fence")?;
    let mut removed = false;
    for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
        let gone = take_away(Change::begin(&locked)?, keyspace, &name)?;
        removed |= gone.ours > 0;
    }
    Ok(removed)
}

pub(super) fn remove_entry(
    shared: &Shared,
    root: &Arc<Root>,
    key: &CacheKey,
    id: EntryId,
) -> Result<bool, StorageError> {
    let name = Name::of(key);
    let locked = shared.locks.take(root, name.fan())?;
    let mut removed = false;
    for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
        let rewritten = rewrite(Change::begin(&locked)?, keyspace, &name, shared.options.sync, |record| {
            let position = record.position(id)?;
            Some(vec![record.variants.remove(position)])
        })?;
        removed |= matches!(rewritten, Rewritten::Changed);
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
    let locked = shared.locks.take(root, name.fan())?;
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

/// Removes the cache's files of one keyspace or both, and no others.
///
/// Fan-out directory by fan-out directory: fills that publish behind the sweep carry a fence from before it.
pub(super) fn clear(
    shared: &Shared,
    root: &Arc<Root>,
    keyspace: Option<Keyspace>,
) -> Result<(), StorageError> {
    for fan in fans() {
        let locked = shared.locks.take(root, fan)?;
        root.state.raise_fan(fan).doing("writing the fences")?;
        let change = Change::begin(&locked)?;
        remove_records(root, keyspace, fan).doing("clearing")?;
        drop(change);
        recount(&locked)?;
    }
    if keyspace.is_none() {
        temp::sweep(root).doing("removing temporary files")?;
    }
    Ok(())
}

fn remove_records(root: &Root, keyspace: Option<Keyspace>, fan: u8) -> io::Result<()> {
    for one in [Keyspace::Responses, Keyspace::Aliases] {
        if keyspace.is_none_or(|wanted| wanted == one) {
            for name in record_names(root, one, fan)? {
                dir::remove_file(root.keyspace(one), &name.record(root.format))?;
            }
        }
    }
    Ok(())
}
