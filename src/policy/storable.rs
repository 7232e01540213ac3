//! Whether a response may be stored (RFC 9111 section 3).

use http::{HeaderMap, Method, StatusCode, header, response};

use crate::entry::{BodySummary, Freshness, StoredHead, StoredRange};
use crate::key::{CacheKey, resolve, target_of, target_uri};
use crate::policy::age::initial_age;
use crate::policy::assess::assess;
use crate::policy::directives::ResponseDirectives;
use crate::policy::fields::{content_length, describe_whole};
use crate::policy::freshness::{Facts, usable_until};
use crate::policy::groups;
use crate::policy::not_stored::NotStored;
use crate::policy::range::ContentRange;
use crate::policy::request::RequestInfo;
use crate::policy::seconds::seconds;
use crate::policy::select::selecting;
use crate::policy::settings::Policy;
use crate::policy::stored_fields::{complete_fields, dropped, storable_fields};
use crate::policy::times::Times;

/// The head to store for this response, or why there is none.
///
/// It judges status, fields and request. It is not known yet whether the whole body will arrive. The head's `body` has the
/// length that the body must have, if known. A response to POST is stored if its `Content-Location` is the request's own
/// URI. It gets a head for GET: pass the key of a GET then.
///
/// # Errors
///
/// [`NotStored`] is the reason.
pub fn storable(
    policy: &Policy,
    request: &RequestInfo<'_>,
    key: &CacheKey,
    response: &response::Parts,
    times: Times,
) -> Result<StoredHead, NotStored> {
    if request.forbids_storing() {
        return Err(NotStored::RequestNoStore);
    }
    let directives = ResponseDirectives::parse(&response.headers, policy.target_fields());
    let method = stored_method(policy, request, response)?;
    let content = StoredContent::of(request, response)?;
    let facts = Facts {
        status: content.status,
        headers: &response.headers,
        authorized: request.is_authorized(),
        overridden: request.overrides.lifetime.map(seconds),
        response_time: times.response,
    };
    let mut freshness = assess(policy, &facts, &directives)?;
    freshness.initial_age = initial_age(&response.headers, freshness.date, times);
    if method != request.method && !freshness.explicit {
        // RFC 9110 9.3.3: responses to POST are only cacheable with explicit freshness information.
        return Err(NotStored::Method);
    }
    let selecting = selecting(policy, request, key, &response.headers);
    if selecting.any {
        return Err(NotStored::VaryStar);
    }
    if !is_ever_usable(&freshness, &response.headers) {
        return Err(NotStored::Useless);
    }

    let mut head = StoredHead::new(key.clone(), content.status);
    head.method = method.clone();
    head.authorized = facts.authorized;
    head.uri = target_of(request.uri, request.headers).unwrap_or_default();
    head.version = response.version;
    head.headers =
        storable_fields(&response.headers, &dropped(policy, &directives)).ok_or(NotStored::LargeHead)?;
    complete_fields(&mut head.headers, freshness.initial_age, times);
    if let Some(len) = content.whole_in_a_part {
        describe_whole(&mut head.headers, len);
    }
    head.request_time = times.request;
    head.response_time = times.response;
    head.usable_until = usable_until(policy, &freshness, times.response);
    head.selecting = selecting;
    head.freshness = freshness;
    head.body = content.len.map(|len| BodySummary { len, checksum: 0 });
    head.range = content.range;
    head.groups = groups::of_response(request, &response.headers).ok_or(NotStored::LargeHead)?;
    if head.is_within_limits() { Ok(head) } else { Err(NotStored::LargeHead) }
}

/// A response can be used while it is fresh, while it may be served stale, or after it has been validated.
fn is_ever_usable(freshness: &Freshness, headers: &HeaderMap) -> bool {
    let windows = [freshness.lifetime, freshness.stale_while_revalidate, freshness.stale_if_error];
    let has_validator = headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    has_validator || windows.iter().any(|seconds| *seconds > 0)
}

/// Section 3, "the request method is understood by the cache". A response to HEAD has no body to store: it only
/// updates what is stored.
fn stored_method<'a>(
    policy: &Policy,
    request: &RequestInfo<'a>,
    response: &response::Parts,
) -> Result<&'a Method, NotStored> {
    if *request.method != Method::HEAD && request.is_handled(policy) {
        return Ok(request.method);
    }
    // RFC 9110 9.3.3: a 200 to POST "with a Content-Location that has the same value as the POST's target URI"
    // can answer later GETs.
    let location = response.headers.get(header::CONTENT_LOCATION);
    let location = location.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let same = location
        .and_then(|location| resolve(request.uri, location))
        .is_some_and(|location| target_uri(&location) == target_uri(request.uri));
    if *request.method == Method::POST && response.status == StatusCode::OK && same {
        return Ok(&Method::GET);
    }
    Err(NotStored::Method)
}

/// The content of a response, as it is stored.
struct StoredContent {
    status: StatusCode,
    /// How long the body will be, where the response says so.
    len: Option<u64>,
    /// Which part of the representation it is; `None` for the whole.
    range: Option<StoredRange>,
    /// The length of a whole that came as a part.
    whole_in_a_part: Option<u64>,
}

impl StoredContent {
    fn of(request: &RequestInfo<'_>, response: &response::Parts) -> Result<Self, NotStored> {
        let received = received_range(request, response)?;
        // RFC 9110 15.3.7.3: what "consists of the entire range of the representation" is "a complete 200 (OK) response".
        let whole = received.filter(|range| range.complete_len == Some(range.len()));
        let part = received.filter(|_| whole.is_none());
        Ok(Self {
            status: if whole.is_some() { StatusCode::OK } else { response.status },
            len: body_len(request, response, received),
            range: part.map(|range| StoredRange { first: range.first, complete_len: range.complete_len }),
            whole_in_a_part: whole.map(ContentRange::len),
        })
    }
}

/// Section 3, "the response status code is final", and understood where a body depends on the request's range or
/// precondition.
fn received_range(
    request: &RequestInfo<'_>,
    response: &response::Parts,
) -> Result<Option<ContentRange>, NotStored> {
    let conditional = request.conditions.only_for_origin;
    match response.status.as_u16() {
        0..=199 | 304 | 412 | 416 => Err(NotStored::Status),
        206 if *request.method != Method::GET || !request.conditions.range => Err(NotStored::Partial),
        206 => ContentRange::of_single_part(&response.headers).map(Some).ok_or(NotStored::Partial),
        300..=599 if conditional => Err(NotStored::Status),
        _ => Ok(None),
    }
}

/// How long the body will be, where the response says so.
fn body_len(
    request: &RequestInfo<'_>,
    response: &response::Parts,
    range: Option<ContentRange>,
) -> Option<u64> {
    if *request.method == Method::HEAD || response.status == StatusCode::NO_CONTENT {
        return Some(0);
    }
    if let Some(range) = range {
        return Some(range.len());
    }
    content_length(&response.headers)
}
