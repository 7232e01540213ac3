//! The stored response: a head and a body, kept apart.
//!
//! A [`StoredHead`] holds what decisions need and is rewritten by a 304; the body is immutable and is
//! addressed by the head's [`EntryId`], so that two writers of one key can never mix their bodies.

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

/// Everything of a stored response but its body.
///
/// Made by the cache; a storage keeps it as a whole ([`codec`]) and may copy single values out of it
/// into columns of its own.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct StoredHead {
    /// Addresses the body.
    pub id: EntryId,
    /// What the response was asked by. Compare it whole on every read.
    pub key: CacheKey,
    /// The method of the request: a stored response to HEAD has no body of its own.
    pub method: Method,
    /// The request carried `Authorization`: a shared cache needs the response's leave (RFC 9111 section 3.5).
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
    /// Until when the response may be of any use, stale or not. A storage may delete it from then on,
    /// and must not need to.
    pub usable_until: Timestamp,
    /// What Vary nominated, with the values of the request.
    pub selecting: Selecting,
    /// What the policy worked out when it stored the response.
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
    /// A head without fields for a response to GET that arrived at the epoch: a start for the caller to fill in.
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

/// What is known of a body once all of it has been written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodySummary {
    /// Length in bytes.
    pub len: u64,
    /// XXH3 (64 bits) of all bytes in order.
    pub checksum: u64,
}

impl BodySummary {
    /// The summary of one piece of memory.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self { len: body.len() as u64, checksum: xxhash_rust::xxh3::xxh3_64(body) }
    }
}

/// How a body ended, for what could not be known when it began.
#[derive(Clone, Default, PartialEq)]
pub struct BodyEnd {
    /// The trailer fields.
    pub trailers: Option<HeaderMap>,
    /// For a body that broke off and is kept as a part (RFC 9111 section 3.3): which part it is. `None` leaves what
    /// the head says.
    pub range: Option<StoredRange>,
}

/// The part of a representation that an incomplete stored response holds (RFC 9111 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRange {
    /// Offset of the first byte held.
    pub first: u64,
    /// Length of the whole representation, where it is known.
    pub complete_len: Option<u64>,
}

/// A stored response as a storage hands it out: the shared head and the body or the way to it.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// The head.
    pub head: Arc<StoredHead>,
    /// The body, where it came with the head.
    pub body: StoredBody,
    /// Whether one of the response's [groups](StoredHead::group_ids) was invalidated since the lookup that led to it: it
    /// must then be validated before use.
    pub invalidated: bool,
}

/// A stored body: at hand, or to be streamed from the storage.
#[derive(Clone)]
#[non_exhaustive]
pub enum StoredBody {
    /// All of it, already verified, in one piece.
    Inline(Bytes),
    /// All of it, already verified, in several pieces shared with the storage.
    Shared(Arc<[Bytes]>),
    /// To be opened with [`Storage::open`](crate::storage::Storage::open).
    Streamed,
}

/// A redirect alias: a stored 3xx response and the key its `Location` leads to.
///
/// Every hop is a stored response of its own, with its own freshness; only the way from one to the next is added.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The redirect response itself.
    pub response: StoredResponse,
    /// The key of the target, for a request with the same fields. Who follows the redirect goes by `Location`.
    pub target: CacheKey,
}
