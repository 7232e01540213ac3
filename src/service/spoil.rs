//! Spoiling what an exchange has made out of date (RFC 9111 sections 4.3.5 and 4.4).

use std::sync::Arc;

use http::response::Parts;

use super::exchange::Exchanged;
use super::name::key_of;
use super::no_vary_search;
use crate::policy::{HeadUpdate, invalidated, invalidated_groups, updated_by_head};
use crate::redirect::answered_elsewhere;
use crate::storage::within;

/// Removes what an unsafe method invalidated, and waits for it: the caller must not read its own past.
pub(super) async fn invalidate(exchanged: &Exchanged<'_>, response: &Parts) {
    let Exchanged { config, asked, original, principal, .. } = *exchanged;
    // What another URI names, and its groups, are of its own origin.
    let elsewhere = answered_elsewhere(original, &response.extensions);
    for uri in invalidated(asked, response) {
        if elsewhere && uri != *asked.uri {
            continue;
        }
        let Some(key) = key_of(config, principal, original, &uri) else { continue };
        let removal = config.fill.storage.remove(&key);
        match within(config.fill.deadline, "invalidating", removal).await {
            Ok(_) => config.counters.count(|counters| &counters.invalidated),
            Err(error) => config.health.trouble(&error),
        }
        if let Err(error) = no_vary_search::forget(config, &key).await {
            config.health.trouble(&error);
        }
    }
    if elsewhere {
        return;
    }
    for group in invalidated_groups(asked, response) {
        let invalidation = config.fill.storage.invalidate_group(&group, exchanged.times.response);
        if let Err(error) = within(config.fill.deadline, "invalidating a group", invalidation).await {
            config.health.trouble(&error);
        }
    }
}

/// Brings stored responses to GET up to date with a response to HEAD.
pub(super) fn update_by_head(exchanged: &Exchanged<'_>, response: &Parts) {
    let Exchanged { config, asked, found, times, original, .. } = *exchanged;
    // A HEAD with content may be about something else than what is stored for GET.
    if *asked.method != http::Method::HEAD
        || !asked.is_handled(&config.policy)
        || answered_elsewhere(original, &response.extensions)
    {
        return;
    }
    for update in updated_by_head(&config.policy, asked, &found.stored, response, times) {
        let (HeadUpdate::Freshen(index, head) | HeadUpdate::Outdated(index, head)) = update;
        found.write_head(config, index, Arc::new(head));
    }
}
