//! May it be kept (RFC 9111 section 3)?

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, response};

use crate::entry::{BodySummary, StoredHead, StoredRange};
use crate::key::{CacheKey, Selecting, resolve, target_of, target_uri};
use crate::policy::combine::describe_whole;
use crate::policy::date::format_date;
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::{Facts, assess, initial_age, usable_until};
use crate::policy::range::{ContentRange, number};
use crate::policy::settings::seconds;
use crate::policy::{Policy, RequestInfo, SetCookie, Times, fields, groups};

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStored {
    /// The request or the user said no-store.
    RequestNoStore,
    /// Responses to this method are not stored.
    Method,
    /// The status is interim, or answers a precondition or range of this one request.
    Status,
    /// must-understand, and the status is not known.
    NotUnderstood,
    /// The response said no-store.
    NoStore,
    /// The response is private, and this cache is shared.
    Private,
    /// The request was authorized, this cache is shared, and the response gives no leave.
    Authorization,
    /// The response sets cookies, and the user does not want such responses stored.
    SetCookie,
    /// Nothing in the response or the settings allows to store a response with this status.
    NotCacheable,
    /// `Vary: *`: no request would ever select it.
    VaryStar,
    /// Neither a lifetime nor a validator: it could never be used.
    Useless,
    /// A 206 whose range is missing, invalid or not a single one.
    Partial,
    /// More fields, bytes of fields or groups than a stored head holds: [`StoredHead::is_within_limits`].
    LargeHead,
}

impl NotStored {
    /// A short text for `Cache-Status`' `detail`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestNoStore => "request no-store",
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::NotCacheable => "not cacheable",
            Self::VaryStar => "vary *",
            Self::Useless => "no lifetime and no validator",
            Self::Partial => "partial",
            Self::LargeHead => "large head",
        }
    }
}

/// The head to store for this response, or why there is none.
///
/// Judges status, fields and request; whether the body arrives whole is not known yet. The head's `body` says how
/// long the body must be, where that is known. A response to POST that is stored (because its `Content-Location`
/// is the request's own URI) gets a head for GET: pass the key of a GET then.
///
/// # Errors
///
/// [`NotStored`] is the reason to give.
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
    let range = stored_range(request, response)?;
    // RFC 9110 15.3.7.3: what "consists of the entire range of the representation" is "a complete 200 (OK) response".
    let whole = range.filter(|range| range.complete_len == Some(range.len()));
    let status = if whole.is_some() { StatusCode::OK } else { response.status };
    let facts = Facts {
        status,
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
    let has_validator =
        response.headers.contains_key(header::ETAG) || response.headers.contains_key(header::LAST_MODIFIED);
    let ever_usable = freshness.lifetime > 0
        || freshness.stale_while_revalidate > 0
        || freshness.stale_if_error > 0
        || has_validator;
    if !ever_usable {
        return Err(NotStored::Useless);
    }

    let mut headers = fields::storable_fields(&response.headers, &dropped(policy, &directives))
        .ok_or(NotStored::LargeHead)?;
    complete_fields(&mut headers, freshness.initial_age, times);
    if let Some(whole) = whole {
        describe_whole(&mut headers, whole.len());
    }
    let mut head = StoredHead::new(key.clone(), status);
    head.method = method.clone();
    head.authorized = facts.authorized;
    head.uri = target_of(request.uri, request.headers).unwrap_or_default();
    head.version = response.version;
    head.headers = headers;
    head.request_time = times.request;
    head.response_time = times.response;
    head.usable_until = usable_until(policy, &freshness, times.response);
    head.selecting = selecting;
    head.freshness = freshness;
    head.body = body_len(request, response, range).map(|len| BodySummary { len, checksum: 0 });
    let part = range.filter(|_| whole.is_none());
    head.range = part.map(|range| StoredRange { first: range.first, complete_len: range.complete_len });
    head.groups = groups::of_response(request, &response.headers).ok_or(NotStored::LargeHead)?;
    if head.is_within_limits() { Ok(head) } else { Err(NotStored::LargeHead) }
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

/// Section 3, "the response status code is final", and understood where a body depends on the request's range or
/// precondition.
fn stored_range(
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

pub(crate) fn selecting(
    policy: &Policy,
    request: &RequestInfo<'_>,
    key: &CacheKey,
    response: &HeaderMap,
) -> Selecting {
    if !response.contains_key(header::VARY) {
        return Selecting::default();
    }
    Selecting::new(response, request.headers, key, policy.secret_bytes())
}

/// The fields that this response does not let a cache store, or that the user does not want stored.
pub(crate) fn dropped<'a>(
    policy: &'a Policy,
    directives: &'a ResponseDirectives,
) -> impl Fn(&HeaderName) -> bool + 'a {
    let strip = policy.on_set_cookie() == SetCookie::Strip;
    move |name| {
        dropped_names(policy, directives).any(|dropped| dropped == name)
            || strip && *name == header::SET_COOKIE
    }
}

/// 5.2.2.4 and 5.2.2.7, the qualified forms: what must not be reused unvalidated, or not stored, is left out.
pub(crate) fn dropped_names<'a>(
    policy: &Policy,
    directives: &'a ResponseDirectives,
) -> impl Iterator<Item = &'a HeaderName> {
    let private = if policy.is_shared() { directives.private.fields() } else { &[] };
    private.iter().chain(directives.no_cache.fields())
}

/// Adds what every stored response has: a `Date` (RFC 9110 section 6.6.1), and a place for the `Age` that each
/// answer overwrites, so that a hit need not grow the map.
pub(crate) fn complete_fields(headers: &mut HeaderMap, initial_age: u64, times: Times) {
    if !headers.contains_key(header::DATE)
        && let Some(date) = format_date(times.response)
    {
        fields::set(headers, header::DATE, date);
    }
    fields::set(headers, header::AGE, HeaderValue::from(initial_age / 1000));
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

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(header::CONTENT_LENGTH)?.as_bytes().trim_ascii())
}
