//! Listing what is stored and its files, and how much it is.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::entry::Alias;
use crate::storage::{Cursor, Keyspace, Page, StorageError, StorageErrorKind, Usage};

use super::count::recount;
use super::error::{Doing, error};
use super::layout::{ALIASES, BODIES, Name, RESPONSES, fans};
use super::lookup::to_alias;
use super::record::{Record, Variant};
use super::record_file::{Found, record_names};
use super::root::Root;
use super::shared::Shared;

/// One page of variants, by digest and id.
pub(super) fn page(
    root: &Root,
    keyspace: Keyspace,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<Variant>, StorageError> {
    let after = match after {
        None => None,
        Some(Cursor(bytes)) => Some(<[u8; 48]>::try_from(bytes.as_ref()).map_err(|_| {
            error(StorageErrorKind::Invalid, "listing: the cursor is not one of this storage")
        })?),
    };
    let first = after.and_then(|after| after.first().copied()).unwrap_or_default();
    let mut page = Page { items: Vec::new(), next: None };
    let mut last = None;
    for fan in fans().skip_while(|fan| *fan < first) {
        for name in record_names(root, keyspace, fan).doing("listing")? {
            if after
                .is_some_and(|after| after.get(..32).is_some_and(|after| name.digest().as_slice() < after))
            {
                continue;
            }
            let found = Record::read(root.keyspace(keyspace), &name, root.format, false).doing("listing")?;
            let (mut record, _) = found.or_empty();
            record.variants.sort_unstable_by_key(|variant| variant.head.id);
            for variant in record.variants {
                let place = place_of(&name, &variant);
                if after.is_some_and(|after| place <= after) || Name::of(&variant.head.key) != name {
                    continue;
                }
                if page.items.len() >= limit {
                    page.next = last.map(|last: [u8; 48]| Cursor(Bytes::copy_from_slice(&last)));
                    return Ok(page);
                }
                last = Some(place);
                page.items.push(variant);
            }
        }
    }
    Ok(page)
}

fn place_of(name: &Name, variant: &Variant) -> [u8; 48] {
    let mut place = [0; 48];
    let (digest, id) = place.split_at_mut(32);
    digest.copy_from_slice(name.digest());
    id.copy_from_slice(&variant.head.id.bits().to_be_bytes());
    place
}

pub(super) fn aliases(root: &Root, page: Page<Variant>) -> io::Result<Page<Alias>> {
    let counted = root.invalidated.counted()?;
    let items = page.items.into_iter().filter_map(|variant| to_alias(root, variant, counted).transpose());
    Ok(Page { items: items.collect::<io::Result<_>>()?, next: page.next })
}

/// The files of one key.
pub(super) fn paths_of(root: &Root, name: &Name) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (keyspace, dir) in [(Keyspace::Responses, RESPONSES), (Keyspace::Aliases, ALIASES)] {
        let Found::Record { record, .. } = Record::read(root.keyspace(keyspace), name, root.format, false)?
        else {
            continue;
        };
        paths.push(root.path().join(dir).join(name.record(root.format)));
        for variant in &record.variants {
            paths.extend(
                variant.files(name, root.format).iter().map(|file| root.path().join(BODIES).join(file)),
            );
        }
    }
    Ok(paths)
}

/// The files of all keys.
pub(super) fn paths(root: &Root) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for fan in fans() {
        let mut names = record_names(root, Keyspace::Responses, fan)?;
        names.extend(record_names(root, Keyspace::Aliases, fan)?);
        names.sort_unstable_by_key(|name| *name.digest());
        names.dedup();
        for name in names {
            paths.extend(paths_of(root, &name)?);
        }
    }
    Ok(paths)
}

pub(super) fn usage(shared: &Shared, root: &Arc<Root>) -> Result<Usage, StorageError> {
    let mut usage = Usage::default();
    let all = root.state.all_counters().doing("reading the counters")?;
    for (fan, mut counters) in fans().zip(all) {
        if counters.dirty {
            // A change is under way, or its writer died: with the lock we know which.
            let locked = shared.locks.take(root, fan)?;
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
