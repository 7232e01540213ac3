//! Which trailer fields are stored (RFC 9110 section 6.5, RFC 9111 section 3.1).

use std::collections::HashSet;

use http::HeaderMap;
use http::header::{self, HeaderName};

use crate::entry::{StoredHead, fields_fit};
use crate::policy::directives::ResponseDirectives;
use crate::policy::fields::{is_hop_by_hop, named_by_connection};
use crate::policy::settings::{Policy, SetCookie};
use crate::policy::stored_fields::{dropped_names, storable_fields};

/// Which trailer fields may be stored. The header section decides, because the trailer section arrives long after the
/// decision to store. By default none.
#[derive(Clone, Debug, Default)]
pub(crate) struct StorableTrailers {
    rules: Option<Box<Rules>>,
}

#[derive(Clone, Debug)]
struct Rules {
    /// Named by `Connection`, by `private` or by `no-cache`.
    dropped: HashSet<HeaderName>,
    refuses_cookies: bool,
}

/// The trailer section sets cookies, and the user does not want such responses stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl StorableTrailers {
    /// For a response with these header fields.
    pub(crate) fn of(policy: &Policy, headers: &HeaderMap) -> Self {
        let directives = ResponseDirectives::parse(headers, policy.target_fields());
        let mut dropped = named_by_connection(headers);
        dropped.extend(dropped_names(policy, &directives).cloned());
        let refuses_cookies = policy.on_set_cookie() == SetCookie::Refuse;
        Self { rules: Some(Box::new(Rules { dropped, refuses_cookies })) }
    }

    /// The trailer fields to store. Too many are not stored at all: RFC 9110 section 6.5.1 lets an intermediary discard
    /// them, and some of them would pass for all.
    pub(crate) fn of_section(&self, trailers: &HeaderMap) -> Result<Option<HeaderMap>, Refused> {
        let Some(rules) = &self.rules else { return Ok(None) };
        if rules.refuses_cookies && trailers.contains_key(header::SET_COOKIE) {
            return Err(Refused);
        }
        let dropped = |name: &HeaderName| rules.dropped.contains(name) || is_forbidden(name);
        let kept = storable_fields(trailers, &dropped);
        Ok(kept.filter(|kept| !kept.is_empty() && fields_fit(kept)))
    }
}

/// Removes the stored trailer fields that the updated header fields no longer allow.
pub(crate) fn update(policy: &Policy, head: &mut StoredHead) {
    if let Some(trailers) = head.trailers.take() {
        // One that sets cookies was refused, or stripped, when it was stored: they are forbidden in any case.
        head.trailers = StorableTrailers::of(policy, &head.headers).of_section(&trailers).unwrap_or_default();
    }
}

/// Whether these settings would have stored the trailer fields as they are.
pub(crate) fn are_storable(policy: &Policy, head: &StoredHead) -> bool {
    let Some(trailers) = &head.trailers else { return true };
    StorableTrailers::of(policy, &head.headers)
        .of_section(trailers)
        .is_ok_and(|kept| kept.as_ref() == Some(trailers))
}

/// RFC 9110 section 6.5.1: "Many fields cannot be processed outside the header section because their evaluation is
/// necessary prior to receiving the content, such as those that describe message framing, routing, authentication,
/// request modifiers, response controls, or content format." RFC 7230 section 4.1.2 has a list of them.
fn is_forbidden(name: &HeaderName) -> bool {
    let standard = [
        &header::CONTENT_LENGTH,
        &header::TRAILER,
        &header::HOST,
        &header::MAX_FORWARDS,
        &header::CACHE_CONTROL,
        &header::PRAGMA,
        &header::EXPECT,
        &header::RANGE,
        &header::AUTHORIZATION,
        &header::PROXY_AUTHENTICATE,
        &header::WWW_AUTHENTICATE,
        &header::COOKIE,
        &header::SET_COOKIE,
        &header::AGE,
        &header::DATE,
        &header::EXPIRES,
        &header::LOCATION,
        &header::RETRY_AFTER,
        &header::VARY,
        &header::WARNING,
        &header::CONTENT_ENCODING,
        &header::CONTENT_TYPE,
        &header::CONTENT_RANGE,
    ];
    let text = name.as_str();
    standard.contains(&name)
        || is_hop_by_hop(name)
        || matches!(text, "set-cookie2" | "authentication-info" | "no-vary-search" | "cache-groups")
        || text.starts_with("if-")
        // Targeted fields (RFC 9213) too.
        || text.ends_with("cache-control")
}
