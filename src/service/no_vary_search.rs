//! Responses for URIs whose queries differ in what changes nothing (`No-Vary-Search`).
//!
//! Beside a response that has the field stand two aliases: under the key of its path without query what the field
//! says, and under the normalised key the way to the response. They are looked at only where nothing is stored under
//! the request's own key.

use std::sync::Arc;

use bytes::Bytes;

use super::exchange::Exchanged;
use crate::body::detach;
use crate::config::Config;
use crate::entry::{Alias, BodySummary, EntryId, StoredBody, StoredHead, StoredResponse};
use crate::key::{CacheKey, NO_VARY_SEARCH, NoVarySearch, path_key};
use crate::redirect;
use crate::storage::{Fence, Lookup, Published, StorageError, within};

/// What is stored for equivalent URIs.
#[derive(Default)]
pub(super) struct Equivalents {
    pub(super) stored: Vec<StoredResponse>,
    /// Of the lookup under the key of the path.
    pub(super) fence: Option<Fence>,
}

/// Looks for responses whose own `No-Vary-Search` lets them answer for this key.
pub(super) async fn look_up(config: &Config, key: &CacheKey) -> Result<Equivalents, StorageError> {
    let Some(path) = path_key(key).filter(|_| applies(config, key)) else {
        return Ok(Equivalents::default());
    };
    let latest = find(config, &path).await?;
    let mut found = Equivalents { stored: Vec::new(), fence: Some(latest.fence) };
    let Some(latest) = latest.alias.and_then(|alias| NoVarySearch::of(&alias.response.head.headers)) else {
        return Ok(found);
    };
    let Some(equivalent) = latest.key(key) else { return Ok(found) };
    let Some(alias) = find(config, &equivalent).await?.alias else { return Ok(found) };
    found.stored = find(config, &alias.target).await?.responses;
    found.stored.retain(|stored| answers_for(&stored.head, key));
    Ok(found)
}

/// Only requests that a response can be reused for, and only keys that have a URI.
fn applies(config: &Config, key: &CacheKey) -> bool {
    config.policy.regards_no_vary_search() && matches!(key.part(CacheKey::METHOD), Some(b"GET" | b"QUERY"))
}

/// "equivalent ... given the variation config ... from the stored response". Parts are not shared: what completes one
/// would be stored under a key that nobody looked up.
fn answers_for(head: &StoredHead, key: &CacheKey) -> bool {
    let config = NoVarySearch::of(&head.headers);
    let uris = head.key.uri().zip(key.uri());
    let equivalent = config.zip(uris).is_some_and(|(config, (one, other))| config.equivalent(one, other));
    equivalent && head.range.is_none()
}

async fn find(config: &Config, key: &CacheKey) -> Result<Lookup, StorageError> {
    let fill = &config.fill;
    let looking = async {
        fill.publishing.settled(key).await;
        fill.storage.lookup(key).await
    };
    within(fill.deadline, "lookup of an equivalent", Box::pin(looking)).await
}

/// Notes what a response that is being stored says of its path, and where it is stored.
pub(super) fn note(exchanged: &Exchanged<'_>, head: &StoredHead) {
    let Exchanged { config, found, .. } = *exchanged;
    if redirect::is_redirect(head.status) || !applies(config, &head.key) {
        return;
    }
    let Some((said, fence)) = NoVarySearch::of(&head.headers).zip(found.path_fence) else { return };
    let Some((path, equivalent)) = path_key(&head.key).zip(said.key(&head.key)) else { return };
    let marks = [config.fill.publishing.mark(&path), config.fill.publishing.mark(&equivalent)];
    let (for_path, for_query) = (alias(head, path), alias(head, equivalent.clone()));
    let config = Arc::clone(config);
    detach(async move {
        if let Err(error) = put(&config, for_path, for_query, fence, &equivalent).await {
            config.health.trouble(&error);
        }
        drop(marks);
    });
}

/// The path first: where something was removed since the lookup, nothing may lead to what was asked before it.
async fn put(
    config: &Config,
    for_path: Alias,
    for_query: Alias,
    fence: Fence,
    equivalent: &CacheKey,
) -> Result<(), StorageError> {
    let fill = &config.fill;
    let put = fill.storage.put_alias(for_path, fence);
    if within(fill.deadline, "storing what a query means", put).await? == Published::Superseded {
        return Ok(());
    }
    let fence = within(fill.deadline, "lookup", fill.storage.lookup(equivalent)).await?.fence;
    let put = fill.storage.put_alias(for_query, fence);
    within(fill.deadline, "storing what a query means", put).await.map(drop)
}

/// A stored response without body, that says what this one says of queries and leads to it.
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

/// Forgets what is known of the path: after an unsafe request nobody knows which of its queries are equivalent, and
/// none of them may be answered with what was there before.
pub(super) async fn forget(config: &Config, key: &CacheKey) -> Result<(), StorageError> {
    let Some(path) = path_key(key).filter(|_| applies(config, key)) else { return Ok(()) };
    within(config.fill.deadline, "invalidating", config.fill.storage.remove(&path)).await.map(drop)
}
