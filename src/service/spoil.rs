//! Spoiling what an exchange has made out of date (RFC 9111 sections 4.3.5 and 4.4).

use std::sync::Arc;

use http::request::Parts;
use http::response;

use super::exchange::Exchanged;
use super::name::key_of;
use crate::config::Config;
use crate::entry::StoredHead;
use crate::key::Principal;
use crate::policy::{Asked, HeadUpdate, invalidated, invalidated_groups, updated_by_head};

/// Invalidates what an unsafe method has made out of date, and waits for it: the caller must not read its own past.
pub(super) async fn invalidate(
    config: &Config,
    principal: &Principal,
    asked: &Asked<'_>,
    original: &Parts,
    response: &response::Parts,
) {
    let groups = invalidated_groups(&config.policy, asked, response);
    if groups.is_empty() {
        return;
    }
    let uris = invalidated(asked, response);
    let keys = uris.iter().filter_map(|uri| key_of(config, principal, original, uri)).collect();
    config.store.invalidate(groups, keys).await;
}

/// Brings stored responses to GET up to date with a response to HEAD.
pub(super) fn update_by_head(exchanged: &Exchanged<'_>, response: &response::Parts) {
    let Exchanged { config, asked, found, times, .. } = *exchanged;
    // A HEAD with content may be about something else than what is stored for GET.
    if *asked.method != http::Method::HEAD || !asked.is_handled(&config.policy) {
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
