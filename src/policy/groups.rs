//! Cache groups (RFC 9875).

use http::header::HeaderName;
use http::{HeaderMap, Uri};
use sfv::{BareItem, List, ListEntry, Parser};

use crate::entry::Group;
use crate::key::origin;
use crate::policy::{Asked, targeted};

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// More groups than this are not read from one field; RFC 9875 asks for at least 32.
const MOST_GROUPS: usize = 128;
/// Names longer than this are not read; RFC 9875 asks for at least 32 characters.
const LONGEST_NAME: usize = 256;

/// The groups a response belongs to: those its `Cache-Groups` names, and those the user wishes.
pub(crate) fn of_response(asked: &Asked<'_>, headers: &HeaderMap) -> Vec<Group> {
    let mut groups = named(asked.uri, headers, &CACHE_GROUPS);
    if !asked.wishes.groups.is_empty()
        && let Some(origin) = origin(asked.uri)
    {
        groups.extend(
            asked.wishes.groups.iter().map(|name| Group { origin: origin.clone(), name: name.clone() }),
        );
    }
    groups.sort();
    groups.dedup();
    groups
}

/// The groups that `Cache-Group-Invalidation` names; they are of the request's own origin.
pub(crate) fn invalidated_by(asked: &Asked<'_>, headers: &HeaderMap) -> Vec<Group> {
    named(asked.uri, headers, &CACHE_GROUP_INVALIDATION)
}

/// A list of strings; parameters are ignored, and a field that is no such list as a whole.
fn named(uri: &Uri, headers: &HeaderMap, field: &HeaderName) -> Vec<Group> {
    let Some(line) = targeted::joined(headers, field) else { return Vec::new() };
    let (Ok(members), Some(origin)) = (Parser::new(&line).parse::<List>(), origin(uri)) else {
        return Vec::new();
    };
    let mut groups = Vec::new();
    for member in members.iter().take(MOST_GROUPS) {
        let ListEntry::Item(item) = member else { return Vec::new() };
        let BareItem::String(name) = &item.bare_item else { return Vec::new() };
        if name.as_str().len() <= LONGEST_NAME {
            groups.push(Group { origin: origin.clone(), name: name.as_str().to_owned() });
        }
    }
    groups
}
