//! Which fields are stored (RFC 9111 section 3.1), and which a newer response updates (section 3.2).

use http::header::{self, HeaderMap, HeaderName, HeaderValue, MaxSizeReached};

use crate::entry::MOST_FIELDS;
use crate::policy::date::format_date;
use crate::policy::directives::ResponseDirectives;
use crate::policy::fields::{self, is_hop_by_hop, named_by_connection};
use crate::policy::settings::{Policy, SetCookie};
use crate::policy::times::Times;

/// The fields of `received` that may be stored, or `None` if there are too many. Each value is copied: a value from the
/// connection is a slice of a large shared buffer, and would keep that buffer alive.
pub(crate) fn storable_fields(
    received: &HeaderMap,
    dropped: &dyn Fn(&HeaderName) -> bool,
) -> Option<HeaderMap> {
    let named = named_by_connection(received);
    // One place for Age, one for a Date that is missing.
    let room = received.keys_len().min(MOST_FIELDS) + 2;
    let mut stored = HeaderMap::try_with_capacity(room).ok()?;
    for (name, value) in received {
        if is_hop_by_hop(name) || named.contains(name) || dropped(name) {
            continue;
        }
        if stored.len() == MOST_FIELDS {
            return None;
        }
        stored.try_append(name.clone(), owned(value)).ok()?;
    }
    Some(stored)
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
/// answer overwrites. So a hit does not grow the map.
pub(crate) fn complete_fields(headers: &mut HeaderMap, initial_age: u64, times: Times) {
    if !headers.contains_key(header::DATE)
        && let Some(date) = format_date(times.response)
    {
        fields::set(headers, header::DATE, date);
    }
    fields::set(headers, header::AGE, HeaderValue::from(initial_age / 1000));
}

/// Replaces the fields of `stored` by those of the same name in `newer` (section 3.2). An error where all together are
/// more than a map holds.
pub(crate) fn update_fields(stored: &HeaderMap, newer: &HeaderMap) -> Result<HeaderMap, MaxSizeReached> {
    let named = named_by_connection(newer);
    let replaces =
        |name: &HeaderName| !is_hop_by_hop(name) && !named.contains(name) && !describes_stored_body(name);
    let mut merged = HeaderMap::try_with_capacity(stored.keys_len())?;
    for (name, value) in stored {
        if !(newer.contains_key(name) && replaces(name)) {
            merged.try_append(name.clone(), value.clone())?;
        }
    }
    for (name, value) in newer {
        if replaces(name) {
            merged.try_append(name.clone(), owned(value))?;
        }
    }
    Ok(merged)
}

/// Fields that describe the stored bytes. A 304 has no bytes, so it cannot change these fields.
fn describes_stored_body(name: &HeaderName) -> bool {
    static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
    static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
    [
        &header::CONTENT_LENGTH,
        &header::CONTENT_ENCODING,
        &header::CONTENT_RANGE,
        &CONTENT_MD5,
        &CONTENT_DIGEST,
        // Comparison decided that the stored tag stands for the same representation; its bytes keep their own.
        &header::ETAG,
    ]
    .contains(&name)
}

fn owned(value: &HeaderValue) -> HeaderValue {
    // Cannot fail for bytes that were a value before; if it did, sharing the buffer would still be right.
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}
