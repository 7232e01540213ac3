//! Cache groups (RFC 9875).

use http::header::HeaderName;
use http::{HeaderMap, Uri, response};
use sfv::{BareItem, List, ListEntry, Parser};

use crate::entry::{Group, StoredHead};
use crate::key::{normalize, origin};
use crate::policy::invalidation::{invalidated, is_non_error, is_safe};
use crate::policy::{Asked, Content, targeted};

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// A response of more groups than this in its field is not stored, because an invalidation of one that was left out would
/// be lost; more are not invalidated at once. RFC 9875 asks for at least 32.
const MOST_IN_FIELD: usize = 128;
/// Nor is a response with a longer name stored. RFC 9875 asks for at least 32 characters.
const LONGEST_NAME: usize = 256;

/// The groups a response belongs to: those its `Cache-Groups` names, and those the user wishes. `None` where they are
/// too many, or have too long names.
pub(crate) fn of_response(asked: &Asked<'_>, headers: &HeaderMap) -> Option<Vec<Group>> {
    let mut groups = named(asked.uri, headers, &CACHE_GROUPS);
    if groups.len() > MOST_IN_FIELD || groups.iter().any(|group| group.name.len() > LONGEST_NAME) {
        return None;
    }
    if !asked.wishes.groups.is_empty()
        && let Some(origin) = origin(asked.uri)
    {
        groups.extend(
            asked.wishes.groups.iter().map(|name| Group { origin: origin.clone(), name: name.clone() }),
        );
    }
    groups.sort();
    groups.dedup();
    Some(groups)
}

/// The groups of a stored response whose fields have been updated to these.
///
/// Section 3.2 of RFC 9111 goes for `Cache-Groups` too: what the newer field does not name any more, the response does not
/// belong to any more. Groups that came another way, from the user above all, stay.
pub(crate) fn updated(asked: &Asked<'_>, stored: &StoredHead, updated: &HeaderMap) -> Option<Vec<Group>> {
    let before = named(asked.uri, &stored.headers, &CACHE_GROUPS);
    let mut groups = of_response(asked, updated)?;
    groups.extend(stored.groups.iter().filter(|group| !before.contains(group)).cloned());
    groups.sort();
    groups.dedup();
    Some(groups)
}

/// The groups that this exchange invalidates: `Cache-Group-Invalidation` "MUST be ignored on responses to requests
/// that have a safe method"; the groups are those of the request's own origin.
#[must_use]
pub fn invalidated_groups(asked: &Asked<'_>, response: &response::Parts) -> Vec<Group> {
    if is_safe(asked.method) || !is_non_error(response.status) {
        return Vec::new();
    }
    let mut groups = named(asked.uri, &response.headers, &CACHE_GROUP_INVALIDATION);
    // No stored response is in a group with a longer name.
    groups.retain(|group| group.name.len() <= LONGEST_NAME);
    groups.truncate(MOST_IN_FIELD);
    // Where content is looked at, there can be responses to QUERY for the URIs that this exchange invalidates.
    if asked.content == Content::Unknown {
        groups.extend(invalidated(asked, response).iter().filter_map(of_target));
    }
    groups
}

/// The group of all responses for a URI whose keys have request content in them. RFC 9111 section 4.4 invalidates "all
/// stored responses" for a URI, and nobody knows the digests of all contents that were ever sent there.
///
/// An origin cannot name it: the names that it sends are ASCII.
pub(crate) fn of_target(uri: &Uri) -> Option<Group> {
    let digest = blake3::hash(normalize(uri)?.as_bytes());
    Some(Group { origin: origin(uri)?, name: format!("\u{2192}{}", digest.to_hex()) })
}

/// A list of strings; parameters are ignored, and a field that is no such list as a whole.
fn named(uri: &Uri, headers: &HeaderMap, field: &HeaderName) -> Vec<Group> {
    let Some(line) = targeted::joined(headers, field) else { return Vec::new() };
    let (Ok(members), Some(origin)) = (Parser::new(&line).parse::<List>(), origin(uri)) else {
        return Vec::new();
    };
    let mut groups = Vec::new();
    for member in &members {
        let ListEntry::Item(item) = member else { return Vec::new() };
        let BareItem::String(name) = &item.bare_item else { return Vec::new() };
        groups.push(Group { origin: origin.clone(), name: name.as_str().to_owned() });
    }
    groups
}
