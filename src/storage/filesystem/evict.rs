//! Keeping the limits: what was not used for the longest time is removed first.
//!
//! This needs no memory. Counters that all processes share say how much is stored. The access times of the files decide
//! what is evicted. Only some fan-out directories are read, beginning with a random one, until they hold a few thousand
//! entries. So the order is exact for a small cache and an estimate for a large one.

use std::sync::{Arc, TryLockError};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::storage::{Keyspace, StorageError};

use super::change::Change;
use super::dir;
use super::error::Doing;
use super::layout::{FANS, Name, fan_name};
use super::rewrite::{Gone, take_away};
use super::root::Root;
use super::shared::Shared;

/// Entries looked at before the least recently used of them go.
const SAMPLE: usize = 4096;

/// Evicts until the limits hold, with a little room for the next ones. One thread at a time is enough.
pub(super) fn make_room(shared: &Shared, root: &Arc<Root>) -> Result<(), StorageError> {
    let limit = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let (max_bytes, max_entries) = (limit(shared.options.max_bytes), limit(shared.options.max_entries));
    let usage = total(root)?;
    if usage.bytes <= max_bytes && usage.entries <= max_entries {
        return Ok(());
    }
    let _alone = match shared.evicting.try_lock() {
        Ok(alone) => alone,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Ok(()),
    };
    let goal = Total { bytes: max_bytes - max_bytes / 32, entries: max_entries - max_entries / 32 };
    shrink(shared, root, &goal)
}

/// Evicts a sixteenth of everything, because the disk is full.
pub(super) fn shed(shared: &Shared, root: &Arc<Root>) -> Result<(), StorageError> {
    let usage = total(root)?;
    shrink(shared, root, &Total { bytes: usage.bytes - usage.bytes.div_ceil(16), entries: u64::MAX })
}

struct Total {
    bytes: u64,
    entries: u64,
}

fn total(root: &Root) -> Result<Total, StorageError> {
    let mut total = Total { bytes: 0, entries: 0 };
    for counters in root.state.all_counters().doing("reading the counters")? {
        total.bytes = total.bytes.saturating_add(counters.bytes);
        total.entries = total.entries.saturating_add(counters.responses).saturating_add(counters.aliases);
    }
    Ok(total)
}

struct Candidate {
    used: (i64, i64),
    keyspace: Keyspace,
    name: Name,
}

fn shrink(shared: &Shared, root: &Arc<Root>, goal: &Total) -> Result<(), StorageError> {
    loop {
        let mut usage = total(root)?;
        let (mut candidates, complete) = sample(root)?;
        // Of a sample only the oldest part is known to be old.
        let part = if complete { candidates.len() } else { candidates.len().div_ceil(8) };
        candidates.sort_unstable_by_key(|candidate| candidate.used);
        let mut evicted = false;
        for candidate in candidates.into_iter().take(part) {
            if usage.bytes <= goal.bytes && usage.entries <= goal.entries {
                return Ok(());
            }
            let gone = evict(shared, root, candidate.keyspace, &candidate.name)?;
            usage.bytes = usage.bytes.saturating_sub(gone.bytes);
            usage.entries = usage.entries.saturating_sub(gone.entries);
            evicted |= gone.entries > 0;
        }
        if complete || !evicted {
            return Ok(());
        }
    }
}

/// Entries with the times of their last use, and whether these are all there are.
fn sample(root: &Root) -> Result<(Vec<Candidate>, bool), StorageError> {
    let counters = root.state.all_counters().doing("reading the counters")?;
    let start = fastrand::u8(..);
    let mut candidates = Vec::new();
    for step in 0..FANS {
        let fan = start.wrapping_add(u8::try_from(step).unwrap_or_default());
        let empty =
            counters.get(usize::from(fan)).is_some_and(|counters| !counters.dirty && counters.bytes == 0);
        if empty {
            continue;
        }
        if candidates.len() >= SAMPLE {
            return Ok((candidates, false));
        }
        for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
            collect(root, keyspace, fan, &mut candidates).doing("choosing what to evict")?;
        }
    }
    Ok((candidates, true))
}

fn collect(root: &Root, keyspace: Keyspace, fan: u8, candidates: &mut Vec<Candidate>) -> Result<(), Errno> {
    let dir = match dir::open_dir(root.keyspace(keyspace), &fan_name(fan)) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(error) => return Err(error),
    };
    for file in dir::names(&dir)? {
        let Some(name) = Name::of_record(&file, root.format).filter(|name| name.fan() == fan) else {
            continue;
        };
        let Ok(stat) = rustix::fs::statat(&dir, file.as_str(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        #[allow(clippy::unnecessary_cast, reason = "the types differ from system to system")]
        let time = |seconds, nanos| (seconds as i64, nanos as i64);
        let used = time(stat.st_atime, stat.st_atime_nsec).max(time(stat.st_mtime, stat.st_mtime_nsec));
        candidates.push(Candidate { used, keyspace, name });
    }
    Ok(())
}

/// Evicts what is under one key, unless another process holds its lock: that key is in use, and the limits hold without
/// it, even if that process was stopped. So an eviction never waits, and concurrent evictions do not queue up.
fn evict(shared: &Shared, root: &Arc<Root>, keyspace: Keyspace, name: &Name) -> Result<Gone, StorageError> {
    let Some(locked) = shared.locks.try_take(root, name.fan())? else { return Ok(Gone::default()) };
    take_away(Change::begin(&locked)?, keyspace, name)
}
