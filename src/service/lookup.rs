//! Looking a key up, and what was found.

use std::sync::Arc;

use super::no_vary_search;
use crate::config::Config;
use crate::entry::{Alias, EntryId, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::policy::{Update, UpdateAction};
use crate::redirect;
use crate::storage::{Fence, Lookup};

/// What is stored under a key. Redirects are among the other responses.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) stored: Vec<StoredResponse>,
    /// The alias. It is the last one in `stored`.
    alias: Option<Arc<Alias>>,
    /// Of the lookup under the key of the URI's path, which is made only where nothing else is found.
    pub(super) path_fence: Option<Fence>,
    /// `None` when the storage failed: then nothing may be stored either.
    pub(super) fence: Option<Fence>,
    /// What is stored as a consequence carries it.
    pub(super) as_of: u64,
    /// The storage's error, for people.
    pub(super) trouble: Option<&'static str>,
}

/// Asks the storage. A failure or a timeout is a miss.
pub(super) async fn look_up(config: &Config, key: &CacheKey) -> Found {
    match ask(config, key).await {
        Ok(found) => found,
        Err(trouble) => Found { trouble: Some(trouble), ..Found::default() },
    }
}

async fn ask(config: &Config, key: &CacheKey) -> Result<Found, &'static str> {
    let Lookup { mut responses, alias, fence, as_of } = config.store.lookup(key).await?;
    let found = Found { fence: Some(fence), as_of, ..Found::default() };
    // An alias is a stored redirect and nothing else.
    if let Some(alias) = alias.filter(|alias| redirect::is_redirect(alias.response.head.status)) {
        responses.push(alias.response.clone());
        return Ok(Found { stored: responses, alias: Some(alias), ..found });
    }
    if !responses.is_empty() {
        return Ok(Found { stored: responses, ..found });
    }
    let equivalents = Box::pin(no_vary_search::look_up(config, key)).await?;
    Ok(Found { stored: equivalents.stored, path_fence: equivalents.fence, ..found })
}

impl Found {
    /// The same, with the heads that a 304 freshened. Those that may be stored are written back while the caller goes on.
    pub(super) fn freshened(&self, config: &Config, updates: Vec<Update>) -> Self {
        let mut freshened = self.clone();
        for Update { index, head, action, .. } in updates {
            let head = Arc::new(StoredHead { as_of: self.as_of, ..head });
            if let Some(stored) = freshened.stored.get_mut(index) {
                *stored = StoredResponse { head: Arc::clone(&head), invalidated: false, ..stored.clone() };
            }
            if action == UpdateAction::Write {
                freshened.write_head(config, index, head);
            }
        }
        freshened
    }

    /// Writes one head back to the store.
    pub(super) fn write_head(&self, config: &Config, index: usize, head: Arc<StoredHead>) {
        let alias = self.alias.as_ref().filter(|alias| alias.response.head.id == head.id);
        let alias = alias.zip(self.stored.get(index)).map(|(alias, stored)| Alias {
            response: StoredResponse { head: Arc::clone(&head), ..stored.clone() },
            target: alias.target.clone(),
        });
        match (alias, self.fence) {
            (Some(alias), Some(fence)) => config.store.put_alias_beside(alias, fence),
            (None, Some(fence)) => config.store.freshen_beside(head, fence),
            (_, None) => {}
        }
    }

    /// Removes one stored response that cannot be read or may no longer be stored.
    pub(super) fn discard(&self, config: &Config, index: usize) {
        if let Some(stored) = self.stored.get(index) {
            config.store.remove_entry_beside(&stored.head);
        }
    }

    /// Whether this stored response is only a part.
    pub(super) fn holds_part(&self, index: usize) -> bool {
        self.stored.get(index).is_some_and(|stored| stored.head.range.is_some())
    }

    /// Parts that are useless once this response is stored whole.
    pub(super) fn outgrown_by(&self, new: &StoredHead) -> Vec<EntryId> {
        let whole = new.range.is_none() && new.method == http::Method::GET;
        let heads = self.stored.iter().map(|stored| &stored.head);
        heads
            .filter(|old| whole && old.range.is_some() && old.selecting == new.selecting)
            .map(|old| old.id)
            .collect()
    }

    /// Stored responses in the other keyspace that a new one under the same key replaces.
    pub(super) fn replaced_by(&self, new: &StoredHead) -> Vec<EntryId> {
        let is_alias =
            |head: &StoredHead| self.alias.as_ref().is_some_and(|alias| alias.response.head.id == head.id);
        let becomes_alias = redirect::is_redirect(new.status);
        let heads = self.stored.iter().map(|stored| &stored.head);
        heads
            .filter(|old| is_alias(old) != becomes_alias && old.selecting == new.selecting)
            .map(|old| old.id)
            .collect()
    }
}
