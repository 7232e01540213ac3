//! Looking up what is stored under a key.

use std::io;
use std::sync::Arc;

use crate::entry::{Alias, StoredBody, StoredResponse};
use crate::key::CacheKey;
use crate::storage::{Keyspace, Lookup, StorageError};

use super::error::Doing;
use super::invalidated::Counted;
use super::layout::Name;
use super::record::{Place, Record, Variant};
use super::record_file::Found;
use super::root::Root;
use super::shared::Shared;

/// What a lookup found, and what it found broken.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) lookup: Lookup,
    /// In which keyspaces the key's record is broken.
    pub(super) broken: Vec<Keyspace>,
    /// Whether the count of invalidations is damaged.
    pub(super) uncounted: bool,
}

fn lookup_in(root: &Root, key: &CacheKey, name: &Name) -> io::Result<Looked> {
    // Fence and count come first: what is removed or invalidated after these lines is noticed when the answer is
    // stored.
    let (fence, counters) = root.state.glance(name)?;
    let counted = root.invalidated.counted()?;
    let mut broken = Vec::new();
    let mut read = |keyspace| {
        Ok::<_, io::Error>(match Record::read(root.keyspace(keyspace), name, root.format, true)? {
            Found::Record { record, .. } => record,
            Found::Broken => {
                broken.push(keyspace);
                Record::default()
            }
            Found::Nothing | Found::OtherVersion { .. } => Record::default(),
        })
    };
    let responses = read(Keyspace::Responses)?;
    // Most caches have few aliases: looking for a file that is not there costs as much as the rest.
    let may_have_alias = counters.dirty || counters.aliases > 0;
    let aliases = if may_have_alias { read(Keyspace::Aliases)? } else { Record::default() };
    let responses = responses
        .variants
        .into_iter()
        .filter(|variant| variant.head.key == *key && variant.target.is_none())
        .map(|variant| response(root, variant, counted))
        .collect::<io::Result<_>>()?;
    let alias = aliases.variants.into_iter().find(|variant| variant.head.key == *key);
    let alias = alias.map(|variant| to_alias(root, variant, counted)).transpose()?.flatten().map(Arc::new);
    let lookup = Lookup { responses, alias, fence, as_of: counted.as_of() };
    Ok(Looked { lookup, broken, uncounted: counted.is_damaged() })
}

fn response(root: &Root, variant: Variant, counted: Counted) -> io::Result<StoredResponse> {
    let invalidated = root.invalidated.cover(&variant.head, counted)?;
    let body = match variant.place {
        Place::Inline(body) => StoredBody::Inline(body),
        Place::File { .. } => StoredBody::Streamed,
    };
    Ok(StoredResponse { head: variant.head, body, invalidated })
}

pub(super) fn to_alias(root: &Root, mut variant: Variant, counted: Counted) -> io::Result<Option<Alias>> {
    let Some(target) = variant.target.take() else { return Ok(None) };
    Ok(Some(Alias { response: response(root, variant, counted)?, target }))
}

/// Looks the key up where the path leads now.
pub(super) fn lookup(shared: &Shared, key: &CacheKey, name: &Name) -> Result<Looked, StorageError> {
    let root = shared.root();
    let looked = lookup_in(&root, key, name);
    let found = looked
        .as_ref()
        .is_ok_and(|looked| !looked.lookup.responses.is_empty() || looked.lookup.alias.is_some());
    // Only a miss can afford to ask whether the directory is still the same, and only a miss has to. What is found
    // must have been judged by the file that others write to.
    if (found && root.invalidated.is_linked()) || root.is_current() {
        return looked.doing("looking up");
    }
    let root = shared.current()?;
    lookup_in(&root, key, name).doing("looking up")
}
