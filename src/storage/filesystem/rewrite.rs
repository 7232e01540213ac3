//! Changing a key's record: reading it, writing it back, and removing the bodies of what is gone.

use std::io;

use crate::storage::{Keyspace, StorageError};

use super::change::Change;
use super::count::recount;
use super::dir;
use super::error::Doing;
use super::layout::Name;
use super::record::{Record, Variant};
use super::record_file::Found;
use super::root::Root;

/// What became of a record that was to be changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rewritten {
    Changed,
    /// There was nothing to change.
    Unchanged,
    /// A version with another layout wrote it: it stays as it is.
    OtherVersion,
}

/// Reads a record, lets `edit` change it, writes it back, and removes the bodies of what `edit` says is gone.
/// Where `edit` returns `None`, everything stays.
pub(super) fn rewrite(
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

fn outside(record: &Record) -> u64 {
    record.variants.iter().map(Variant::outside_len).fold(0, u64::saturating_add)
}

fn remove_bodies(root: &Root, name: &Name, gone: &[Variant]) -> io::Result<()> {
    gone.iter().try_for_each(|variant| variant.remove_files(root, name))
}
