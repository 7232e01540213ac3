//! Responses for URIs whose queries are equivalent (`No-Vary-Search`).
//!
//! A response with this field gets two aliases. The one under the key of its path, without query, holds the field. The
//! one under the normalised key leads to the response. The cache looks them up only if nothing is stored under the
//! request's own key.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::Config;
use crate::entry::{Alias, BodySummary, EntryId, StoredBody, StoredHead, StoredResponse};
use crate::key::{CacheKey, NO_VARY_SEARCH, NoVarySearch, path_key};
use crate::redirect;
use crate::storage::{Fence, Published, StorageError};
use crate::store::Store;

/// What is stored for equivalent URIs.
#[derive(Default)]
pub(super) struct Equivalents {
    pub(super) stored: Vec<StoredResponse>,
    /// Of the lookup under the key of the path.
    pub(super) fence: Option<Fence>,
}

/// Looks up responses whose own `No-Vary-Search` allows them to answer for this key.
pub(super) async fn look_up(config: &Config, key: &CacheKey) -> Result<Equivalents, &'static str> {
    let Some(path) = path_key(key).filter(|_| applies(config, key)) else {
        return Ok(Equivalents::default());
    };
    let latest = config.store.lookup(&path).await?;
    let mut found = Equivalents { stored: Vec::new(), fence: Some(latest.fence) };
    // After an unsafe request it is unknown which queries of the path are equivalent.
    let valid = |alias: &Arc<Alias>| !alias.response.invalidated;
    let latest = latest.alias.filter(valid).and_then(|alias| NoVarySearch::of(&alias.response.head.headers));
    let Some(equivalent) = latest.and_then(|latest| latest.key(key)) else { return Ok(found) };
    let Some(alias) = config.store.lookup(&equivalent).await?.alias.filter(valid) else { return Ok(found) };
    found.stored = config.store.lookup(&alias.target).await?.responses;
    // Most variants of one response have the same field, and URIs are long: the last comparison is remembered.
    let mut compared = Vec::new();
    found.stored.retain(|stored| answers_for(&stored.head, key, &mut compared));
    Ok(found)
}

/// Only requests that a stored response can answer, and only keys that have a URI.
fn applies(config: &Config, key: &CacheKey) -> bool {
    config.policy.regards_no_vary_search() && matches!(key.part(CacheKey::METHOD), Some(b"GET" | b"QUERY"))
}

/// "equivalent ... given the variation config ... from the stored response". Parts are not shared: the completed
/// response would be stored under a key that was not looked up.
fn answers_for(head: &StoredHead, key: &CacheKey, compared: &mut Vec<(NoVarySearch, bool)>) -> bool {
    let Some(said) = NoVarySearch::of(&head.headers).filter(|_| head.range.is_none()) else { return false };
    if let Some((_, equivalent)) = compared.iter().find(|(other, _)| *other == said) {
        return *equivalent;
    }
    let uris = head.key.uri().zip(key.uri());
    let equivalent = uris.is_some_and(|(one, other)| said.equivalent(one, other));
    compared.push((said, equivalent));
    equivalent
}

/// Stores what a response says about its path, and where the response is stored.
/// `fence` is of the lookup under the path's key.
pub(super) fn note(config: &Config, head: &StoredHead, fence: Option<Fence>) {
    if redirect::is_redirect(head.status) || !applies(config, &head.key) {
        return;
    }
    let Some((said, fence)) = NoVarySearch::of(&head.headers).zip(fence) else { return };
    let Some((path, equivalent)) = path_key(&head.key).zip(said.key(&head.key)) else { return };
    let marks = [config.store.mark(&path), config.store.mark(&equivalent)];
    let (for_path, for_query) = (alias(head, path), alias(head, equivalent.clone()));
    let store = config.store.clone();
    config.store.run_or_spawn(async move {
        let _ = put(&store, for_path, for_query, fence, &equivalent).await;
        drop(marks);
    });
}

/// The path first: after a removal since the lookup, no alias may lead to a response from before it.
async fn put(
    store: &Store,
    for_path: Alias,
    for_query: Alias,
    fence: Fence,
    equivalent: &CacheKey,
) -> Result<(), StorageError> {
    if store.put_alias(for_path, fence).await? == Published::Superseded {
        return Ok(());
    }
    let Ok(found) = store.lookup_unsettled(equivalent).await else { return Ok(()) };
    store.put_alias(for_query, found.fence).await.map(drop)
}

/// A stored response without body that has this one's field and leads to it.
fn alias(head: &StoredHead, key: CacheKey) -> Alias {
    let mut own = StoredHead { key, id: EntryId::random(), ..head.clone() };
    own.headers.clear();
    for line in head.headers.get_all(NO_VARY_SEARCH) {
        let _ = own.headers.try_append(NO_VARY_SEARCH, line.clone());
    }
    own.selecting = crate::key::Selecting::default();
    own.body = Some(BodySummary::of(b""));
    let body = StoredBody::Inline(Bytes::new());
    let response = StoredResponse { head: Arc::new(own), body, invalidated: false };
    Alias { response, target: head.key.clone() }
}
