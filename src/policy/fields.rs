//! Which fields are stored (RFC 9111 section 3.1) and which a newer response updates (section 3.2).

use std::collections::HashSet;

use http::header::{self, HeaderMap, HeaderName, HeaderValue, MaxSizeReached};

use crate::entry::MOST_FIELDS;

/// Fields that belong to one connection or one proxy and are never stored.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    static PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
    [
        &header::CONNECTION,
        &header::TRANSFER_ENCODING,
        &header::TE,
        &header::UPGRADE,
        &header::PROXY_AUTHENTICATE,
        &header::PROXY_AUTHORIZATION,
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &PROXY_AUTHENTICATION_INFO,
    ]
    .contains(&name)
}

/// Fields without which a stored response would mean something else. RFC 9110 section 7.6.1 forbids naming such
/// fields in `Connection`; a response that does so does not get rid of its `Cache-Control` or `Vary` that way.
pub(crate) fn is_essential(name: &HeaderName) -> bool {
    [
        &header::CACHE_CONTROL,
        &header::VARY,
        &header::DATE,
        &header::AGE,
        &header::EXPIRES,
        &header::ETAG,
        &header::LAST_MODIFIED,
        &header::LOCATION,
        &header::CONTENT_LENGTH,
        &header::CONTENT_ENCODING,
        &header::CONTENT_TYPE,
        &header::CONTENT_RANGE,
    ]
    .contains(&name)
}

/// Fields that describe the stored bytes. A 304 has no bytes, so it cannot change what is said of them.
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

/// The fields of `received` that may be stored, each value in memory of its own: a value as it came from the
/// connection is a slice of a large shared buffer, which it would keep alive. `None` where they are too many.
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

/// The same fields in the same order, without the dropped ones.
pub(crate) fn without(headers: HeaderMap, dropped: &dyn Fn(&HeaderName) -> bool) -> HeaderMap {
    if !headers.keys().any(dropped) {
        return headers;
    }
    let mut kept = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !dropped(name)) {
        // Fewer than there were in a map before.
        let _ = kept.try_append(name.clone(), value.clone());
    }
    kept
}

/// Sets a field that the cache itself writes. A map that is full stays as it is.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = headers.try_insert(name, value);
}

/// A set, because the origin decides how many names there are.
pub(crate) fn named_by_connection(headers: &HeaderMap) -> HashSet<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| matches!(byte, b',' | b' ' | b'\t')))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !is_essential(name))
        .collect()
}

fn owned(value: &HeaderValue) -> HeaderValue {
    // Cannot fail for bytes that were a value before; if it did, sharing the buffer would still be right.
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}
