//! Deciding, purely: header fields and times in, an enum with its reason out. One file per subject of RFC 9111.

mod conditional;
mod date;
mod directives;
mod fields;
mod freshness;
mod groups;
mod invalidation;
mod range;
mod reuse;
mod settings;
mod storable;
mod targeted;
mod update;
mod validation;

pub use directives::{RequestDirectives, ResponseDirectives, Scope};
pub use groups::invalidated_groups;
pub use invalidation::invalidated;
pub use reuse::{Answer, Reuse, Serve, reuse, serve};
pub use settings::{Policy, SetCookie};
pub use storable::{NotStored, resumable, storable};
pub use update::{HeadUpdate, updated_by_head};
pub use validation::{Missing, Validated, Validation, preconditions, validated, without_origin};

use http::{HeaderMap, Method, Uri};

use crate::clock::Timestamp;
use crate::key::RequestHead;
use crate::overrides::CacheOverride;

/// What is asked: the request's head, its directives parsed once, and the user's wishes.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's target URI.
    pub uri: &'a Uri,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// Its `Cache-Control` (or `Pragma`).
    pub directives: RequestDirectives,
    /// The user's wishes for this one request.
    pub wishes: &'a CacheOverride,
    /// Which preconditions and ranges the request has.
    conditions: Conditions,
}

/// Which of the fields that few requests have are there: looked for once, in one pass over the names, so that the
/// common hit does not look up each of them.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    /// `If-None-Match` or `If-Modified-Since`: a 304 may answer.
    not_modified: bool,
    /// `If-Match` or `If-Unmodified-Since`: only the origin may evaluate them.
    only_for_origin: bool,
    /// `Range`.
    range: bool,
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "range" => found.range = true,
                name if !name.starts_with("if-") => {}
                "if-none-match" | "if-modified-since" => found.not_modified = true,
                "if-match" | "if-unmodified-since" => found.only_for_origin = true,
                _ => {}
            }
        }
        found
    }
}

impl<'a> Asked<'a> {
    /// Reads the request's directives.
    #[must_use]
    pub fn new(request: &RequestHead<'a>, wishes: &'a CacheOverride) -> Self {
        Self {
            method: request.method,
            uri: request.uri,
            headers: request.headers,
            directives: RequestDirectives::parse(request.headers),
            wishes,
            conditions: Conditions::of(request.headers),
        }
    }
}

/// When a request was sent and its response arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The request was sent.
    pub request: Timestamp,
    /// The response's head arrived.
    pub response: Timestamp,
}
