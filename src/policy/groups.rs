//! Cache groups (RFC 9875).

use http::HeaderMap;
use http::header::HeaderName;
use sfv::{BareItem, List, ListEntry, Parser};

use crate::entry::{Group, GroupId, StoredHead};
use crate::key::{origin_of, target_of};
use crate::policy::fields::joined;
use crate::policy::request::RequestInfo;

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// A response of more groups than this in its field is not stored, because an invalidation of one that was left out would
/// be lost; more are not invalidated at once. RFC 9875 asks for at least 32.
const MOST_IN_FIELD: usize = 128;

/// A response with a longer name is not stored either. RFC 9875 asks for at least 32 characters.
const LONGEST_NAME: usize = 256;

/// The groups a response belongs to: those its `Cache-Groups` names, and those the request's `CacheOverride` adds. `None`
/// if they are too many, or have too long names.
pub(crate) fn of_response(request: &RequestInfo<'_>, headers: &HeaderMap) -> Option<Vec<Group>> {
    let origin = origin(request);
    let mut groups = named(&origin, headers, &CACHE_GROUPS);
    if groups.len() > MOST_IN_FIELD || groups.iter().any(|group| group.name.len() > LONGEST_NAME) {
        return None;
    }
    let added = request.overrides.groups.iter();
    groups.extend(added.map(|name| Group { origin: origin.clone(), name: name.clone() }));
    groups.sort();
    groups.dedup();
    Some(groups)
}

/// The groups of a stored response whose fields have been updated to these.
///
/// Section 3.2 of RFC 9111 applies to `Cache-Groups` too: if the newer field no longer names a group, the response no longer
/// belongs to it. Groups from other sources, mainly from the user, stay.
pub(crate) fn updated(
    request: &RequestInfo<'_>,
    stored: &StoredHead,
    updated: &HeaderMap,
) -> Option<Vec<Group>> {
    let before = named(&origin(request), &stored.headers, &CACHE_GROUPS);
    let mut groups = of_response(request, updated)?;
    groups.extend(stored.groups.iter().filter(|group| !before.contains(group)).cloned());
    groups.sort();
    groups.dedup();
    Some(groups)
}

/// The groups that `Cache-Group-Invalidation` names; they are of the request's own origin, this one. If they are
/// more than can be invalidated at once, everything of that origin is invalidated.
pub(crate) fn invalidated_by(origin: &str, headers: &HeaderMap) -> Vec<GroupId> {
    let mut groups = named(origin, headers, &CACHE_GROUP_INVALIDATION);
    // No stored response is in a group with a longer name.
    groups.retain(|group| group.name.len() <= LONGEST_NAME);
    if groups.len() > MOST_IN_FIELD {
        return vec![GroupId::of_origin(origin)];
    }
    groups.iter().map(GroupId::of).collect()
}

/// The origin that a request's groups are of; of a request in origin-form, without a scheme.
fn origin(request: &RequestInfo<'_>) -> String {
    target_of(request.uri, request.headers).map_or_else(String::new, |target| origin_of(&target).to_owned())
}

/// A list of strings. Parameters are ignored. A field that is not such a list is ignored as a whole.
fn named(origin: &str, headers: &HeaderMap, field: &HeaderName) -> Vec<Group> {
    let Some(line) = joined(headers, field) else { return Vec::new() };
    let Ok(members) = Parser::new(&line).parse::<List>() else { return Vec::new() };
    let mut groups = Vec::new();
    for member in &members {
        let ListEntry::Item(item) = member else { return Vec::new() };
        let BareItem::String(name) = &item.bare_item else { return Vec::new() };
        groups.push(Group { origin: origin.to_owned(), name: name.as_str().to_owned() });
    }
    groups
}
