//! Keeping house: counting again, removing what has no use any more, and clearing.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::clock::Timestamp;
use crate::storage::{Keyspace, Maintained, StorageError, Usage};

use super::Shared;
use super::dir;
use super::error::Doing;
use super::layout::{FANS, FORMER_GROUPS, Name, fan_name};
use super::lock::Locked;
use super::options::Format;
use super::record::{Found, Record};
use super::root::Root;
use super::state::Counters;
use super::temp;

/// What a walk over one fan-out directory found and removed.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) counters: Counters,
    expired: u64,
    orphans: u64,
}

/// All fan-out directories.
pub(super) fn fans() -> impl Iterator<Item = u8> {
    (0..FANS).filter_map(|fan| u8::try_from(fan).ok())
}

/// Counts what one fan-out directory holds and removes what is broken or belongs to nothing.
pub(super) fn recount(locked: &Locked<'_>) -> Result<Survey, StorageError> {
    survey(locked, None)
}

fn survey(locked: &Locked<'_>, now: Option<Timestamp>) -> Result<Survey, StorageError> {
    let state = &locked.root.state;
    state
        .set_counters(locked.fan, Counters { dirty: true, ..Counters::default() })
        .doing("writing the counters")?;
    let survey = walk(locked.root, locked.fan, now).doing("counting what is stored")?;
    state.set_counters(locked.fan, survey.counters).doing("writing the counters")?;
    Ok(survey)
}

fn walk(root: &Arc<Root>, fan: u8, now: Option<Timestamp>) -> io::Result<Survey> {
    let mut survey = Survey { counters: Counters::default(), expired: 0, orphans: 0 };
    let mut bodies = HashSet::new();
    // Keys under which another version stored something, whose bodies it alone can tell.
    let mut shared_with_others = HashSet::new();
    for keyspace in [Keyspace::Responses, Keyspace::Aliases] {
        let dir = root.keyspace(keyspace);
        for name in record_names(root, keyspace, fan)? {
            let (mut record, mut len) = match Record::read(dir, &name, root.format, false)? {
                Found::Nothing => continue,
                Found::OtherVersion { len } => {
                    survey.counters.bytes = survey.counters.bytes.saturating_add(len);
                    shared_with_others.insert(name);
                    continue;
                }
                Found::Broken => {
                    survey.orphans += u64::from(dir::remove_file(dir, &name.record(root.format))?);
                    continue;
                }
                Found::Record { record, len } => (record, len),
            };
            let before = record.variants.len();
            record.variants.retain(|variant| now.is_none_or(|now| variant.head.usable_until > now));
            if record.variants.len() < before {
                survey.expired += (before - record.variants.len()) as u64;
                len = record.write(root, dir, &name, false)?;
            }
            survey.counters.bytes = survey.counters.bytes.saturating_add(len);
            *survey.counters.entries(keyspace) += record.entries();
            for variant in &record.variants {
                survey.counters.bytes = survey.counters.bytes.saturating_add(variant.outside_len());
                bodies.extend(variant.files(&name, root.format));
            }
            if !record.foreign.is_empty() {
                shared_with_others.insert(name);
            }
        }
    }
    // Under the lock no body waits for its head: what no head names was left by a dead writer or an expired head.
    let fan = fan_name(fan);
    for file in dir::names_in(&root.bodies, &fan)? {
        let path = format!("{fan}/{file}");
        let Some(name) = Name::of_body(&file).filter(|_| !bodies.contains(&path)) else { continue };
        if shared_with_others.contains(&name) {
            survey.counters.bytes = survey.counters.bytes.saturating_add(dir::len(&root.bodies, &path)?);
        } else {
            survey.orphans += u64::from(dir::remove_file(&root.bodies, &path)?);
        }
    }
    Ok(survey)
}

/// The names of the records in one fan-out directory, sorted.
pub(super) fn record_names(root: &Root, keyspace: Keyspace, fan: u8) -> io::Result<Vec<Name>> {
    let files = dir::names_in(root.keyspace(keyspace), &fan_name(fan))?;
    let mut names: Vec<_> = files.iter().filter_map(|file| Name::of_record(file, root.format)).collect();
    names.retain(|name| name.fan() == fan);
    names.sort_unstable_by_key(|name| *name.digest());
    Ok(names)
}

pub(super) fn maintain(
    shared: &Shared,
    root: &Arc<Root>,
    now: Timestamp,
) -> Result<Maintained, StorageError> {
    let mut orphans = temp::sweep(root).doing("removing temporary files")?;
    let mut expired = 0;
    for fan in fans() {
        let found = survey(&Locked::take(shared, root, fan)?, Some(now))?;
        expired += found.expired;
        orphans += found.orphans;
    }
    remove_former_groups(root).doing("removing what another version kept of groups")?;
    if root.invalidated.counted().doing("reading the count of invalidations")?.is_damaged() {
        super::publish::repair(shared, root)?;
    }
    super::evict::make_room(shared, root)?;
    Ok(Maintained { expired, orphans })
}

pub(super) fn usage(shared: &Shared, root: &Arc<Root>) -> Result<Usage, StorageError> {
    let mut usage = Usage::default();
    let all = root.state.all_counters().doing("reading the counters")?;
    for (fan, mut counters) in fans().zip(all) {
        if counters.dirty {
            // A change is under way, or its writer died: with the lock we know which.
            let locked = Locked::take(shared, root, fan)?;
            counters = root.state.counters(fan).doing("reading the counters")?;
            if counters.dirty {
                counters = recount(&locked)?.counters;
            }
        }
        usage.responses = usage.responses.saturating_add(counters.responses);
        usage.aliases = usage.aliases.saturating_add(counters.aliases);
        usage.bytes = usage.bytes.saturating_add(counters.bytes);
    }
    Ok(usage)
}

/// Removes our files of one keyspace or both, and no others.
///
/// Fan-out directory by fan-out directory: fills that publish behind the sweep carry a fence from before it.
pub(super) fn clear(
    shared: &Shared,
    root: &Arc<Root>,
    keyspace: Option<Keyspace>,
) -> Result<(), StorageError> {
    for fan in fans() {
        let locked = Locked::take(shared, root, fan)?;
        root.state.raise_fan(fan).doing("writing the fences")?;
        let change = locked.change()?;
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
