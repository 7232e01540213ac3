//! Looking a key up, and what was found.

use std::sync::Arc;

use super::no_vary_search;
use crate::body::detach;
use crate::config::Config;
use crate::entry::{Alias, EntryId, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::policy::{Update, UpdateAction};
use crate::redirect;
use crate::storage::{Fence, Lookup, StorageError, within};

/// What is stored under a key; redirects stand among the other responses.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) stored: Vec<StoredResponse>,
    /// The alias, which stands last in `stored`.
    alias: Option<Arc<Alias>>,
    /// Of the lookup under the key of the URI's path, which is made only where nothing else is found.
    pub(super) path_fence: Option<Fence>,
    /// `None` when the storage failed: then nothing may be stored either.
    pub(super) fence: Option<Fence>,
    /// What the storage said, for people.
    pub(super) trouble: Option<&'static str>,
}

/// Asks the storage. One that fails or takes too long is a miss.
pub(super) async fn look_up(config: &Config, key: &CacheKey) -> Found {
    let health = &config.health;
    if !health.reads.allows() {
        return Found { trouble: Some("storage left alone"), ..Found::default() };
    }
    match ask(config, key).await {
        Ok(found) => {
            health.reads.succeeded();
            found
        }
        Err(error) => {
            health.reads.failed(error.kind());
            health.trouble(&error);
            Found { trouble: Some(error.kind().as_str()), ..Found::default() }
        }
    }
}

async fn ask(config: &Config, key: &CacheKey) -> Result<Found, StorageError> {
    let fill = &config.fill;
    if !fill.publishing.is_idle() {
        // A publication that hangs must not hang those who wait for it; they see what is there without it.
        let _ = Box::pin(tokio::time::timeout(fill.deadline, fill.publishing.settled(key))).await;
    }
    let Lookup { mut responses, alias, fence } =
        within(fill.deadline, "lookup", fill.storage.lookup(key)).await?;
    // An alias is a stored redirect and nothing else.
    if let Some(alias) = alias.filter(|alias| redirect::is_redirect(alias.response.head.status)) {
        responses.push(alias.response.clone());
        return Ok(Found { stored: responses, alias: Some(alias), fence: Some(fence), ..Found::default() });
    }
    let mut found = Found { stored: responses, fence: Some(fence), ..Found::default() };
    if found.stored.is_empty() {
        let equivalents = Box::pin(no_vary_search::look_up(config, key)).await?;
        (found.stored, found.path_fence) = (equivalents.stored, equivalents.fence);
    }
    Ok(found)
}

impl Found {
    /// The same, with the heads that a 304 freshened. Those that may be stored are written back without keeping the caller.
    pub(super) fn freshened(&self, config: &Config, updates: Vec<Update>) -> Self {
        let mut freshened = self.clone();
        for Update { index, head, action, .. } in updates {
            let head = Arc::new(head);
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
        let (fill, fence) = (config.fill.clone(), self.fence);
        let mark = fill.publishing.mark(&head.key);
        let health = Arc::clone(&config.health);
        detach(async move {
            let written = match (alias, fence) {
                (Some(alias), Some(fence)) => {
                    let put = fill.storage.put_alias(alias, fence);
                    within(fill.deadline, "freshening an alias", put).await.map(drop)
                }
                (Some(_), None) => Ok(()),
                (None, _) => {
                    let head = Arc::unwrap_or_clone(head);
                    within(fill.deadline, "freshening", fill.storage.freshen(head)).await.map(drop)
                }
            };
            if let Err(error) = written {
                health.trouble(&error);
            }
            drop(mark);
        });
    }

    /// Removes one stored response, which turned out to be unreadable or may not be kept.
    pub(super) fn discard(&self, config: &Config, index: usize) {
        let Some(stored) = self.stored.get(index) else { return };
        let (head, fill) = (Arc::clone(&stored.head), config.fill.clone());
        let mark = fill.publishing.mark(&head.key);
        let health = Arc::clone(&config.health);
        detach(async move {
            let removal = fill.storage.remove_entry(&head.key, head.id);
            if let Err(error) = within(fill.deadline, "removing a response", removal).await {
                health.trouble(&error);
            }
            drop(mark);
        });
    }

    /// Whether this stored response is only a part.
    pub(super) fn holds_part(&self, index: usize) -> bool {
        self.stored.get(index).is_some_and(|stored| stored.head.range.is_some())
    }

    /// Parts that are of no use once this response is stored whole.
    pub(super) fn outgrown_by(&self, new: &StoredHead) -> Vec<EntryId> {
        let whole = new.range.is_none() && new.method == http::Method::GET;
        let heads = self.stored.iter().map(|stored| &stored.head);
        heads
            .filter(|old| whole && old.range.is_some() && old.selecting == new.selecting)
            .map(|old| old.id)
            .collect()
    }

    /// Stored responses in the other keyspace that a new one under the same key takes the place of.
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
