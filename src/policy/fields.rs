//! Kinds of fields, and the fields that the cache writes itself.

use std::collections::HashSet;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::policy::seconds::number;

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
/// fields in `Connection`. They are stored even if a response names them there.
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

/// The names in `Connection`. A set, because the origin decides how many there are.
pub(crate) fn named_by_connection(headers: &HeaderMap) -> HashSet<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| matches!(byte, b',' | b' ' | b'\t')))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !is_essential(name))
        .collect()
}

/// All lines of a field in one, or `None` when there is no such field.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter();
    let mut all = lines.next()?.as_bytes().to_vec();
    for line in lines {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    Some(all)
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(header::CONTENT_LENGTH)?.as_bytes().trim_ascii())
}

/// Sets a field that the cache itself writes. A full map stays unchanged.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = headers.try_insert(name, value);
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

/// Changes the fields to those of a complete response of this length.
pub(crate) fn describe_whole(headers: &mut HeaderMap, complete_len: u64) {
    without_digests(headers);
    headers.remove(header::CONTENT_RANGE);
    set(headers, header::CONTENT_LENGTH, HeaderValue::from(complete_len));
}

pub(crate) fn describe_part(
    headers: &mut HeaderMap,
    first: u64,
    end: u64,
    complete_len: Option<u64>,
) -> Option<()> {
    let complete_len = complete_len.map_or_else(|| "*".to_owned(), |len| len.to_string());
    let range = format!("bytes {first}-{}/{complete_len}", end.checked_sub(1)?);
    without_digests(headers);
    set(headers, header::CONTENT_RANGE, HeaderValue::try_from(range).ok()?);
    set(headers, header::CONTENT_LENGTH, HeaderValue::from(end - first));
    Some(())
}

/// Drops what was computed over the content of one message (RFC 9530 section 2): other content, other digest.
pub(crate) fn without_digests(headers: &mut HeaderMap) {
    static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
    static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
    headers.remove(&CONTENT_MD5);
    headers.remove(&CONTENT_DIGEST);
}
