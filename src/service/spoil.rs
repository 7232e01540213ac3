//! Spoiling what an exchange has made out of date (RFC 9111 sections 4.3.5 and 4.4).

use std::sync::Arc;

use http::response::Parts;

use super::exchange::Exchanged;
use super::name::key_of;
use crate::entry::StoredHead;
use crate::policy::{HeadUpdate, invalidated, invalidated_groups, updated_by_head};
use crate::storage::within;

/// Removes what an unsafe method invalidated, and waits for it: the caller must not read its own past.
pub(super) async fn invalidate(exchanged: &Exchanged<'_>, response: &Parts) {
    let Exchanged { config, asked, original, principal, .. } = *exchanged;
    for uri in invalidated(asked, response) {
        let Some(key) = key_of(config, principal, original, &uri) else { continue };
        let removal = config.fill.storage.remove(&key);
        match within(config.fill.deadline, "invalidating", removal).await {
            Ok(_) => config.counters.count(|counters| &counters.invalidated),
            Err(error) => config.health.trouble(&error),
        }
    }
    let groups = invalidated_groups(asked, response);
    if !groups.is_empty() {
        let invalidation = config.fill.storage.invalidate(&groups);
        if let Err(error) = within(config.fill.deadline, "invalidating", invalidation).await {
            config.health.trouble(&error);
        }
    }
}

/// Brings stored responses to GET up to date with a response to HEAD.
pub(super) fn update_by_head(exchanged: &Exchanged<'_>, response: &Parts) {
    let Exchanged { config, asked, found, times, .. } = *exchanged;
    if *asked.method != http::Method::HEAD {
        return;
    }
    for update in updated_by_head(&config.policy, asked, &found.stored, response, times) {
        let (index, head) = match update {
            HeadUpdate::Freshen(index, head) => (index, StoredHead { as_of: found.as_of, ..head }),
            HeadUpdate::Outdated(index, head) => (index, head),
        };
        found.write_head(config, index, Arc::new(head));
    }
}
