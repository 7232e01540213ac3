//! What can be invalidated together: the groups of RFC 9875, and the target URI of RFC 9111 section 4.4.

use xxhash_rust::xxh3::Xxh3Default;

use super::StoredHead;
use crate::key::{NO_VARY_SEARCH, normalized_target, origin_of};

/// A cache group (RFC 9875): an origin and a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Scheme, host and port, normalised: `https://example.com`.
    pub origin: String,
    /// The group's name, case-sensitive.
    pub name: String,
}

/// Names a set of stored responses that is invalidated at once: a [`Group`], or everything stored for one URI.
///
/// A storage keeps a number for each id, or for several ids together: invalidating too much costs a validation,
/// invalidating too little is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(u128);

impl GroupId {
    /// The members of a cache group.
    #[must_use]
    pub fn of(group: &Group) -> Self {
        Self::hash(Kind::Named, group.origin.as_bytes(), group.name.as_bytes())
    }

    /// Everything that is stored for a URI: every safe method, content, variant, key and principal.
    ///
    /// `target` is the URI with its query, fully normalised by RFC 3986 section 6.2, so that it covers all spellings.
    #[must_use]
    pub fn of_target(target: &str) -> Self {
        let target = normalized_target(target);
        Self::hash(Kind::Target, target.as_bytes(), &[])
    }

    /// Everything that is stored for a URI as the response to an unsafe method that the user allows to be reused
    /// ([`Policy::methods`](crate::Policy::methods)). It is separate from [`of_target`](Self::of_target): requests with such
    /// methods invalidate that one, and not each other.
    #[must_use]
    pub fn of_reused_unsafe(target: &str) -> Self {
        let target = normalized_target(target);
        Self::hash(Kind::ReusedUnsafe, target.as_bytes(), &[])
    }

    /// Everything that is stored for a path and answers for more than one query (`No-Vary-Search`).
    #[must_use]
    pub fn of_path(target: &str) -> Self {
        let target = normalized_target(target);
        let path = target.split('?').next().unwrap_or_default();
        Self::hash(Kind::Path, path.as_bytes(), &[])
    }

    /// Everything that is stored for URIs of one origin (`https://example.com`).
    #[must_use]
    pub fn of_origin(origin: &str) -> Self {
        Self::hash(Kind::Origin, origin.as_bytes(), &[])
    }

    /// The 128 bits of the id.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// One of `slots` places for the numbers of all ids: few storages can keep one for each.
    #[must_use]
    pub const fn slot(self, slots: u32) -> u32 {
        // The remainder is less than a u32.
        (self.0 % slots as u128) as u32
    }

    fn hash(kind: Kind, first: &[u8], second: &[u8]) -> Self {
        let mut hasher = Xxh3Default::new();
        hasher.update(&[kind as u8]);
        // The length goes first, so that two texts cannot run together into others.
        hasher.update(&(first.len() as u64).to_le_bytes());
        hasher.update(first);
        hasher.update(second);
        Self(hasher.digest128())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Named = 0,
    Target = 1,
    Path = 2,
    ReusedUnsafe = 3,
    Origin = 4,
}

/// The groups that nearly every response has that is stored for a URI: storages read their numbers together with it.
#[cfg(any(feature = "dynamodb", feature = "mongodb"))]
pub(crate) fn usual_groups(uri: &str) -> [GroupId; 2] {
    [GroupId::of_target(uri), GroupId::of_origin(origin_of(uri))]
}

impl StoredHead {
    /// The groups whose invalidation concerns this response: those of its target URI and of its origin, that of its path
    /// where it answers for more than one query, and those it [names](Self::groups).
    pub fn group_ids(&self) -> impl Iterator<Item = GroupId> + '_ {
        let path = self.headers.contains_key(NO_VARY_SEARCH).then(|| GroupId::of_path(&self.uri));
        let named = self.groups.iter().map(GroupId::of);
        let target = std::iter::once_with(|| match self.method.as_str() {
            "GET" | "HEAD" | "QUERY" => GroupId::of_target(&self.uri),
            _ => GroupId::of_reused_unsafe(&self.uri),
        });
        let origin = std::iter::once_with(|| GroupId::of_origin(origin_of(&self.uri)));
        target.chain(origin).chain(path).chain(named)
    }
}
