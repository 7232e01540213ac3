//! Counting what a fan-out directory holds, and removing what is broken or belongs to nothing.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::storage::{Keyspace, StorageError};

use super::dir;
use super::error::Doing;
use super::layout::{Name, fan_name};
use super::lock::Locked;
use super::record::Record;
use super::record_file::{Found, record_names};
use super::root::Root;
use super::state::Counters;

/// What a walk over one fan-out directory found and removed.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) counters: Counters,
    pub(super) expired: u64,
    pub(super) orphans: u64,
}

/// Counts what one fan-out directory holds and removes what is broken or belongs to nothing.
pub(super) fn recount(locked: &Locked<'_>) -> Result<Survey, StorageError> {
    survey(locked, None)
}

pub(super) fn survey(locked: &Locked<'_>, now: Option<Timestamp>) -> Result<Survey, StorageError> {
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
