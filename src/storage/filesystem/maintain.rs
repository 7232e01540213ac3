//! Maintenance: what can never be used again, what belongs to nothing, and the limits.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::clock::Timestamp;
use crate::storage::{Maintained, StorageError};

use super::count::survey;
use super::error::Doing;
use super::layout::{FORMER_GROUPS, Name, fan_name, fans};
use super::options::Format;
use super::root::Root;
use super::shared::Shared;
use super::{dir, evict, groups, temp};

pub(super) fn maintain(
    shared: &Shared,
    root: &Arc<Root>,
    now: Timestamp,
) -> Result<Maintained, StorageError> {
    let mut orphans = temp::sweep(root).doing("removing temporary files")?;
    let mut expired = 0;
    for fan in fans() {
        let found = survey(&shared.locks.take(root, fan)?, Some(now))?;
        expired += found.expired;
        orphans += found.orphans;
    }
    remove_former_groups(root).doing("removing what another version kept of groups")?;
    if root.invalidated.counted().doing("reading the count of invalidations")?.is_damaged() {
        groups::repair(shared, root)?;
    }
    evict::make_room(shared, root)?;
    Ok(Maintained { expired, orphans })
}

/// An earlier version kept a file for each group that was ever invalidated.
fn remove_former_groups(root: &Root) -> io::Result<()> {
    let groups = match dir::open_dir(&root.dir, FORMER_GROUPS) {
        Ok(groups) => groups,
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    for fan in fans() {
        let fan_dir = fan_name(fan);
        for file in dir::names_in(&groups, &fan_dir)? {
            if Name::of_record(&file, Format::Compact).is_some_and(|name| name.fan() == fan) {
                dir::remove_file(&groups, &format!("{fan_dir}/{file}"))?;
            }
        }
        dir::remove_empty_dir(&groups, &fan_dir)?;
    }
    Ok(dir::remove_empty_dir(&root.dir, FORMER_GROUPS)?)
}
