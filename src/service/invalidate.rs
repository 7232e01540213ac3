//! Invalidating what an exchange has made out of date (RFC 9111 sections 4.3.5 and 4.4).

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Response, header, response};

use super::exchanged::{Exchanged, Named};
use super::name::key_of;
use crate::config::Config;
use crate::entry::StoredHead;
use crate::key::Principal;
use crate::policy::{
    HeadUpdate, RequestInfo, invalidated, invalidated_groups, target_groups, updated_by_head,
};
use crate::redirect::{answered_by, answered_elsewhere};

/// Invalidates what an unsafe method has made out of date, and waits for it: the caller must not get an older response
/// afterwards.
pub(super) async fn invalidate(
    config: &Config,
    principal: &Principal,
    info: &RequestInfo<'_>,
    original: &Parts,
    response: &response::Parts,
) {
    // What another URI names, and its groups, are of its own origin. It is changed itself, like the one that was asked.
    let answered_by =
        answered_by(&response.extensions).filter(|_| answered_elsewhere(original, &response.extensions));
    let bare;
    let response = if answered_by.is_some() {
        bare = without_fields(response);
        &bare
    } else {
        response
    };
    let mut groups = invalidated_groups(&config.policy, info, response);
    if groups.is_empty() {
        return;
    }
    if let Some(uri) = answered_by {
        groups.extend(target_groups(&config.policy, info, uri));
    }
    let uris = invalidated(info, response);
    let keys = uris.iter().filter_map(|uri| key_of(config, principal, original, uri)).collect();
    config.store.invalidate(groups, keys).await;
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

fn without_fields(response: &response::Parts) -> response::Parts {
    let mut bare = Response::new(()).into_parts().0;
    bare.status = response.status;
    bare
}

/// Brings stored responses to GET up to date with a response to HEAD.
pub(super) fn update_by_head(exchanged: &Exchanged<'_>, response: &response::Parts) {
    let Exchanged { named: Named { config, info, original, .. }, found, times } = *exchanged;
    // A HEAD with content may be about something else than what is stored for GET.
    if *info.method != http::Method::HEAD
        || !info.is_handled(&config.policy)
        || answered_elsewhere(original, &response.extensions)
    {
        return;
    }
    for update in updated_by_head(&config.policy, info, &found.stored, response, times) {
        let (index, head) = match update {
            // Only a validator proves that the body is still the stored one. Without one, what was invalidated since
            // stays invalidated.
            HeadUpdate::Freshen(index, head) if has_validator(&response.headers) => {
                (index, StoredHead { as_of: found.as_of, ..head })
            }
            HeadUpdate::Freshen(index, head) | HeadUpdate::Outdated(index, head) => (index, head),
        };
        found.write_head(config, index, Arc::new(head));
    }
}
