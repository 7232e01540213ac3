//! What the policy knows of a request.

use std::fmt;

use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, Method, Uri};

use crate::key::{RequestContent, RequestHead, ShownFields, shown_uri, userinfo};
use crate::overrides::{CacheMode, CacheOverride};
use crate::policy::directives::RequestDirectives;
use crate::policy::settings::Policy;

/// What the policy knows of a request: its head, its directives parsed once, and its overrides.
#[derive(Clone)]
pub struct RequestInfo<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's target URI.
    pub uri: &'a Uri,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// Its `Cache-Control` (or `Pragma`).
    pub directives: RequestDirectives,
    /// The user's overrides for this one request.
    pub overrides: &'a CacheOverride,
    /// Which preconditions and ranges the request has.
    pub(crate) conditions: Conditions,
    content: Content,
}

/// What the key has to do with the request's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// The fields announce none.
    Absent,
    /// It is part of the key.
    Keyed,
    /// There is or may be content that is not part of the key.
    Unknown,
}

/// Which of some rare fields a request has. They are found in one pass over the names, because a lookup of each would
/// slow down every hit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    /// `If-None-Match` or `If-Modified-Since`: a 304 may answer.
    pub(crate) not_modified: bool,
    /// `If-Match` or `If-Unmodified-Since`: only the origin may evaluate them.
    pub(crate) only_for_origin: bool,
    /// `Range`.
    pub(crate) range: bool,
    /// `Content-Length` or `Transfer-Encoding`: the request has content.
    content: bool,
}

impl Conditions {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "range" => found.range = true,
                "transfer-encoding" => found.content = true,
                "content-length" => {
                    found.content |= headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
                }
                name if !name.starts_with("if-") => {}
                "if-none-match" | "if-modified-since" => found.not_modified = true,
                "if-match" | "if-unmodified-since" => found.only_for_origin = true,
                _ => {}
            }
        }
        found
    }
}

impl<'a> RequestInfo<'a> {
    /// Reads the request's directives.
    #[must_use]
    pub fn new(head: &RequestHead<'a>, overrides: &'a CacheOverride) -> Self {
        let conditions = Conditions::of(head.headers);
        let known = RequestContent::of(head.method, head.extensions);
        let content = if head.body_digest.is_some() || overrides.key.is_some() {
            Content::Keyed
        } else if conditions.content || known.is_some() {
            Content::Unknown
        } else {
            Content::Absent
        };
        Self {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            directives: RequestDirectives::parse(head.headers),
            overrides,
            conditions,
            content,
        }
    }

    /// Whether responses to this request may be stored and reused: its method allows that, and its key differs from that
    /// of requests with other content. GET has no content, unless the fields announce some ("fat GET"). Other methods
    /// have content, unless it is part of the key.
    #[must_use]
    pub fn is_handled(&self, policy: &Policy) -> bool {
        let told_apart = match self.content {
            Content::Keyed => true,
            Content::Absent => matches!(*self.method, Method::GET | Method::HEAD),
            Content::Unknown => false,
        };
        told_apart && policy.handles(self.method)
    }
}

impl RequestInfo<'_> {
    /// Whether the request or its overrides say no-store (section 5.2.1.5).
    pub(crate) fn forbids_storing(&self) -> bool {
        self.directives.no_store || self.overrides.no_store
    }

    /// Whether the request is "a request with an Authorization header field" (RFC 9111 section 3.5): clients send
    /// userinfo in the URI as one (RFC 9110 section 4.2.4). `Proxy-Authorization` does not count: it is for the proxy on
    /// the way (RFC 9110 section 11.7.2), which decides nothing about the origin's response, and is never stored (RFC
    /// 9111 section 3.1).
    pub(crate) fn is_authorized(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION) || userinfo(self.uri).is_some()
    }

    /// Whether the stored answer to an identical request may answer this one, so that this one can wait for it.
    pub(crate) fn takes_anothers_answer(&self) -> bool {
        let Conditions { not_modified, only_for_origin, range, .. } = self.conditions;
        let CacheOverride { mode, no_store, lifetime, groups, key: _ } = self.overrides;
        let overridden = *mode != CacheMode::Default || *no_store || lifetime.is_some() || !groups.is_empty();
        let directives = self.directives.no_cache || self.directives.no_store;
        let conditions = not_modified || only_for_origin || range;
        *self.method != Method::HEAD && !overridden && !directives && !conditions
    }
}

impl fmt::Debug for RequestInfo<'_> {
    /// Leaves out what must not be logged: the query, and the values of most fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo")
            .field("method", self.method)
            .field("uri", &shown_uri(self.uri))
            .field("headers", &ShownFields(self.headers))
            .field("directives", &self.directives)
            .field("overrides", self.overrides)
            .finish_non_exhaustive()
    }
}
