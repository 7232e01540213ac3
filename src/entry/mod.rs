//! The stored response: a head and a body, stored separately.
//!
//! A [`StoredHead`] holds what decisions need. A 304 rewrites it. The body is immutable and
//! addressed by the head's [`EntryId`]. So two writers of one key can never mix their bodies.

pub mod codec;
mod debug;
mod error;
mod freshness;
mod group;
mod id;
mod limits;
mod variant;

pub use freshness::Freshness;
#[cfg(any(feature = "dynamodb", feature = "mongodb"))]
pub(crate) use group::usual_groups;
pub use group::{Group, GroupId};
pub use id::EntryId;
pub(crate) use limits::fields_fit;
pub use limits::{MOST_FIELD_BYTES, MOST_FIELDS, MOST_GROUPS};

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::clock::Timestamp;
use crate::key::{CacheKey, Selecting};

/// A stored response without its body.
///
/// The cache makes it. A storage stores it as a whole ([`codec`]), and may copy single values
/// into columns of its own.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct StoredHead {
    /// Addresses the body.
    pub id: EntryId,
    /// The key of the request. Compare it whole on every read.
    pub key: CacheKey,
    /// The method of the request. A stored response to HEAD has no body.
    pub method: Method,
    /// Whether the request had `Authorization`: a shared cache then needs the response's permission (RFC 9111 section 3.5).
    pub authorized: bool,
    /// The target URI, absolute, without userinfo and fragment: for people and for plain queries.
    pub uri: String,
    /// The final status.
    pub status: StatusCode,
    /// The protocol version the response came by.
    pub version: Version,
    /// All fields that RFC 9111 section 3.1 lets a cache store, repeats in order, values as raw bytes.
    pub headers: HeaderMap,
    /// The trailer fields, kept apart from the headers.
    pub trailers: Option<HeaderMap>,
    /// When the request that led to this response, or last validated it, was sent.
    pub request_time: Timestamp,
    /// When the response, or the 304 that last freshened it, arrived.
    pub response_time: Timestamp,
    /// Until when the response is usable, fresh or stale. A storage may delete it after that time, but
    /// does not have to.
    pub usable_until: Timestamp,
    /// The fields that `Vary` nominated, with the values of the request.
    pub selecting: Selecting,
    /// The freshness that the policy computed when it stored the response.
    pub freshness: Freshness,
    /// Length and checksum of the stored body; `None` while it is still being written.
    pub body: Option<BodySummary>,
    /// For an incomplete response: which part of the representation the body holds.
    pub range: Option<StoredRange>,
    /// The groups (RFC 9875) the response belongs to, each already qualified by its origin.
    pub groups: Vec<Group>,
    /// How many invalidations the storage had counted at the lookup that led to this response, or to the 304 that last
    /// freshened it: [`Lookup::as_of`](crate::storage::Lookup::as_of). 0 is before all of them.
    pub as_of: u64,
}

impl StoredHead {
    /// A head without fields for a response to GET that arrived at the epoch. The caller fills it in.
    #[must_use]
    pub fn new(key: CacheKey, status: StatusCode) -> Self {
        Self {
            id: EntryId::random(),
            uri: key.uri().unwrap_or_default().to_owned(),
            key,
            method: Method::GET,
            authorized: false,
            status,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            trailers: None,
            request_time: Timestamp::EPOCH,
            response_time: Timestamp::EPOCH,
            usable_until: Timestamp::MAX,
            selecting: Selecting::default(),
            freshness: Freshness::default(),
            body: None,
            range: None,
            groups: Vec::new(),
            as_of: 0,
        }
    }

    /// Enters what is known once the body has been written.
    pub fn finish(&mut self, summary: BodySummary, end: BodyEnd) {
        self.body = Some(summary);
        self.trailers = end.trailers;
        self.range = end.range.or(self.range);
    }

    /// Length of the stored body in bytes; 0 while it is unknown.
    #[must_use]
    pub fn body_len(&self) -> u64 {
        self.body.map_or(0, |body| body.len)
    }
}

/// Length and checksum of a body that has been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodySummary {
    /// Length in bytes.
    pub len: u64,
    /// XXH3 (64 bits) of all bytes in order.
    pub checksum: u64,
}

impl BodySummary {
    /// The summary of these bytes.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self { len: body.len() as u64, checksum: xxhash_rust::xxh3::xxh3_64(body) }
    }
}

/// What is known only at the end of a body.
#[derive(Clone, Default, PartialEq)]
pub struct BodyEnd {
    /// The trailer fields.
    pub trailers: Option<HeaderMap>,
    /// For a body that was cut off and is stored as a part (RFC 9111 section 3.3): which part it is. `None` keeps the
    /// range of the head.
    pub range: Option<StoredRange>,
}

/// The part of a representation that an incomplete stored response holds (RFC 9111 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRange {
    /// Offset of the first byte held.
    pub first: u64,
    /// Length of the whole representation, if known.
    pub complete_len: Option<u64>,
}

/// A stored response as a storage returns it: the shared head, and the body if it came with the head.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// The head.
    pub head: Arc<StoredHead>,
    /// The body, or that it must be opened.
    pub body: StoredBody,
    /// Whether one of the response's [groups](StoredHead::group_ids) was invalidated since the lookup that led to it: it
    /// must then be validated before use.
    pub invalidated: bool,
}

/// A stored body: in memory, or to be streamed from the storage.
#[derive(Clone)]
#[non_exhaustive]
pub enum StoredBody {
    /// The whole body, already verified, in one buffer.
    Inline(Bytes),
    /// The whole body, already verified, in several buffers that are shared with the storage.
    Shared(Arc<[Bytes]>),
    /// Open it with [`Storage::open`](crate::storage::Storage::open).
    Streamed,
}

/// A redirect alias: a stored 3xx response and the key of its target.
///
/// Every hop is a separate stored response, with its own freshness. The alias only adds the key of the next hop.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The redirect response itself.
    pub response: StoredResponse,
    /// The key of the target, for a request with the same fields. A client that follows the redirect uses `Location`.
    pub target: CacheKey,
}
