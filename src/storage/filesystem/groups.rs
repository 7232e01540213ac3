//! Cache groups: the time each was last invalidated, one small file each.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Timestamp;
use crate::entry::{Group, StoredHead};
use crate::storage::StorageError;

use super::Shared;
use super::dir;
use super::error::{Doing, not_a_file};
use super::layout::{Name, fan_name};
use super::lock::Locked;
use super::maintain::fans;
use super::options::Format;
use super::root::Root;
use super::temp::Temp;

/// A fill that takes longer than this is not expected to end any more.
const LONGEST_FILL: i64 = 24 * 3_600_000;

/// Whether one of the response's groups was invalidated after it arrived.
pub(super) fn invalidated(root: &Root, head: &StoredHead) -> io::Result<bool> {
    for group in &head.groups {
        if read(root, &name(group))?.is_some_and(|at| head.response_time <= at) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn invalidate(
    shared: &Shared,
    root: &Arc<Root>,
    group: &Group,
    at: Timestamp,
) -> Result<(), StorageError> {
    let name = name(group);
    let _locked = Locked::take(shared, root, name.fan())?;
    let known = read(root, &name).doing("reading a group")?;
    if known.is_none_or(|known| known < at) {
        write(root, &name, at, shared.options.sync).doing("writing a group")?;
    }
    Ok(())
}

/// Forgets the groups that can concern no response any more.
pub(super) fn forget(root: &Root, earliest: Timestamp, now: Timestamp) -> io::Result<()> {
    let limit = earliest.min(now.plus_millis(-LONGEST_FILL));
    for_each(root, |name| {
        if read(root, &name)?.is_some_and(|at| at < limit) {
            dir::remove_file(&root.groups, &name.record(Format::Compact))?;
        }
        Ok(())
    })
}

pub(super) fn clear(root: &Root) -> io::Result<()> {
    for_each(root, |name| {
        dir::remove_file(&root.groups, &name.record(Format::Compact))?;
        Ok(())
    })
}

fn for_each(root: &Root, mut visit: impl FnMut(Name) -> io::Result<()>) -> io::Result<()> {
    for fan in fans() {
        for file in dir::names_in(&root.groups, &fan_name(fan))? {
            if let Some(name) = Name::of_record(&file, Format::Compact).filter(|name| name.fan() == fan) {
                visit(name)?;
            }
        }
    }
    Ok(())
}

/// The length of the origin goes first, so that origin and name cannot run together into another group's.
fn name(group: &Group) -> Name {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(group.origin.len() as u64).to_le_bytes());
    hasher.update(group.origin.as_bytes());
    hasher.update(group.name.as_bytes());
    Name::from_digest(*hasher.finalize().as_bytes())
}

fn read(root: &Root, name: &Name) -> io::Result<Option<Timestamp>> {
    let mut file = match dir::open_file(&root.groups, &name.record(Format::Compact)) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) if not_a_file(errno) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut content = [0; 16];
    if file.read_exact(&mut content).is_ok() {
        let (at, checksum) = content.split_at(8);
        if xxh3_64(at).to_le_bytes() == checksum {
            return Ok(at.try_into().ok().map(i64::from_le_bytes).map(Timestamp::from_millis));
        }
    }
    Ok(Some(changed(&file)?))
}

/// Of a damaged file still known: the group was invalidated no later than the file was written. Validating too
/// much is right.
fn changed(file: &File) -> io::Result<Timestamp> {
    let modified = file.metadata()?.modified()?;
    Ok(Timestamp::from(modified).max(Timestamp::from(UNIX_EPOCH)))
}

fn write(root: &Arc<Root>, name: &Name, at: Timestamp, sync: bool) -> io::Result<()> {
    let at = at.as_millis().to_le_bytes();
    let temp = Temp::create(root)?;
    let mut file = temp.file();
    file.write_all(&[at, xxh3_64(&at).to_le_bytes()].concat())?;
    temp.place(&root.groups, &name.record(Format::Compact), sync)
}
