//! Bringing URIs to one form (RFC 3986 section 6.2).
//!
//! [`target_uri`] changes only what the origin does not see: case of scheme and host, default port, empty path.
//! [`normalize`] also changes dot segments and the percent-encoding of characters that need none, which an origin can
//! distinguish. Both leave out userinfo. A fragment is never part of a request's URI.

use std::borrow::Cow;

use http::Uri;
use http::uri::Authority;

/// The normalised form of an absolute URI, or `None` if scheme or host is missing.
///
/// URIs that RFC 3986 section 6.2.2 calls equivalent have one form. An origin can still distinguish them, so this form is
/// not a key. It is suitable if one URI too many does no harm, for example for invalidation.
///
/// ```
/// # fn main() -> Result<(), http::uri::InvalidUri> {
/// let uri = "HTTP://user@Example.com:80/a/../%7euser?x=%c3".parse()?;
/// assert_eq!(larder::key::normalize(&uri).as_deref(), Some("http://example.com/~user?x=%C3"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn normalize(uri: &Uri) -> Option<String> {
    let mut normalized = origin(uri)?;
    normalized.push_str(&path(uri.path()));
    push_query(&mut normalized, uri.query().map(percent));
    Some(normalized)
}

/// The target URI as it is sent, or `None` if scheme or host is missing.
///
/// Path and query are unchanged, byte for byte. Scheme and host are in lower case, a default port and userinfo are
/// left out, and an empty path becomes `/`.
///
/// ```
/// # fn main() -> Result<(), http::uri::InvalidUri> {
/// let uri = "HTTP://user@Example.com:80/a/../%7euser?x=%c3".parse()?;
/// assert_eq!(larder::key::target_uri(&uri).as_deref(), Some("http://example.com/a/../%7euser?x=%c3"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn target_uri(uri: &Uri) -> Option<String> {
    let mut target = origin(uri)?;
    target.push_str(uri.path());
    push_query(&mut target, uri.query().map(Cow::Borrowed));
    Some(target)
}

fn push_query(target: &mut String, query: Option<Cow<'_, str>>) {
    if let Some(query) = query {
        target.push('?');
        target.push_str(&query);
    }
}

/// The URI with the path and query of [`normalize`]; `None` if they are in that form already.
pub(super) fn with_normal_target(uri: &Uri) -> Option<Uri> {
    let mut target = path(uri.path()).into_owned();
    push_query(&mut target, uri.query().map(percent));
    if uri.path_and_query().is_none_or(|before| *before == *target) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The userinfo of a URI (RFC 3986 section 3.2.1); it can be empty.
pub(crate) fn userinfo(uri: &Uri) -> Option<&str> {
    Some(uri.authority()?.as_str().rsplit_once('@')?.0)
}

/// The pieces of an [`origin`] in which nothing has to be changed: by far the most. May say no too often.
pub(super) fn plain_origin(uri: &Uri) -> Option<[&str; 3]> {
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?.as_str();
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let is_plain = !authority.is_empty() && authority.bytes().all(plain);
    (matches!(scheme, "http" | "https") && is_plain).then_some([scheme, "://", authority])
}

/// Scheme, host and port in normalised form: `https://example.com`, with the port if it is not the scheme's default.
///
/// ```
/// # fn main() -> Result<(), http::uri::InvalidUri> {
/// let uri = "https://Example.com:443/path".parse()?;
/// assert_eq!(larder::key::origin(&uri).as_deref(), Some("https://example.com"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn origin(uri: &Uri) -> Option<String> {
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?;
    let mut origin =
        String::with_capacity(scheme.len() + 3 + authority.as_str().len() + uri.path().len() + 1);
    origin.push_str(scheme);
    origin.make_ascii_lowercase();
    let is_https = origin == "https";
    origin.push_str("://");
    let authority = host_and_port(authority.as_str(), is_https);
    // RFC 9110 section 4.2.1 of an empty host: "A recipient that processes such a URI reference MUST reject it as
    // invalid." Without its userinfo an authority can also lose half of a pair of brackets.
    if !authority.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty()) {
        return None;
    }
    origin.push_str(&authority);
    Some(origin)
}

/// Whether both URIs have scheme, host and port, and the same ones (RFC 9110 section 4.3.1).
///
/// ```
/// # fn main() -> Result<(), http::uri::InvalidUri> {
/// let one = "https://example.com/a".parse()?;
/// assert!(larder::key::same_origin(&one, &"https://EXAMPLE.com:443/b".parse()?));
/// assert!(!larder::key::same_origin(&one, &"http://example.com/a".parse()?));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn same_origin(one: &Uri, other: &Uri) -> bool {
    origin(one).is_some_and(|one| origin(other) == Some(one))
}

/// Host in lower case and the port unless it is the default, without userinfo.
pub(super) fn host_and_port(authority: &str, is_https: bool) -> String {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let (host, port) = split_port(authority);
    let mut normalized = host.to_ascii_lowercase();
    match port.map(str::parse::<u16>) {
        None => {}
        Some(Ok(443)) if is_https => {}
        Some(Ok(80)) if !is_https => {}
        Some(Ok(number)) => {
            normalized.push(':');
            normalized.push_str(&number.to_string());
        }
        // No port at all: kept as it is, so that it never passes for one.
        Some(Err(_)) => {
            normalized.push(':');
            normalized.extend(port);
        }
    }
    normalized
}

/// Splits off the port; an empty one is none (RFC 3986 section 3.2.3).
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside its brackets.
        Some((_, after)) if after.contains(']') => (authority, None),
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

/// Whether [`path`] would leave this as it is. May say no too often.
fn is_normal_path(path: &str) -> bool {
    let mut before = 0;
    for byte in path.bytes() {
        if byte == b'%' || (byte == b'.' && before == b'/') {
            return false;
        }
        before = byte;
    }
    !path.is_empty()
}

/// A path without dot segments, unreserved characters decoded; the empty path is `/`.
fn path(path: &str) -> Cow<'_, str> {
    if is_normal_path(path) {
        return Cow::Borrowed(path);
    }
    if path.is_empty() {
        return Cow::Borrowed("/");
    }
    // A path with an escape that is none is left alone as a whole, dots included: decoding around the escape could
    // make it look like another one.
    unescaped(path).map_or(Cow::Borrowed(path), |path| Cow::Owned(without_dot_segments(&path)))
}

/// A query, or one of its names, with escapes in one form; left alone where an escape is none.
pub(super) fn percent(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&b'%') {
        return Cow::Borrowed(text);
    }
    unescaped(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Escapes in upper case, and none for the unreserved characters (sections 6.2.2.1 and 6.2.2.2).
/// `None` where a `%` is not followed by two digits.
fn unescaped(text: &str) -> Option<String> {
    let mut normalized = String::with_capacity(text.len());
    let mut pieces = text.split('%');
    normalized.push_str(pieces.next()?);
    for piece in pieces {
        let (high, low) = hex_pair(piece.as_bytes())?;
        let byte = high << 4 | low;
        if is_unreserved(byte) {
            normalized.push(char::from(byte));
        } else {
            normalized.push('%');
            normalized.push(upper_hex(high));
            normalized.push(upper_hex(low));
        }
        normalized.push_str(piece.get(2..)?);
    }
    Some(normalized)
}

fn hex_pair(bytes: &[u8]) -> Option<(u8, u8)> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match bytes {
        [high, low, ..] => Some((digit(high)?, digit(low)?)),
        _ => None,
    }
}

fn upper_hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

/// Section 2.3: ALPHA / DIGIT / "-" / "." / "_" / "~".
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Section 5.2.4: `.` goes, `..` takes the segment before it along, and either at the end leaves a slash.
pub(super) fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let absolute = path.strip_prefix('/');
    let mut segments = absolute.unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut normalized = String::with_capacity(path.len() + 1);
    if absolute.is_some() {
        normalized.push('/');
    }
    normalized.push_str(&kept.join("/"));
    normalized
}

/// A query without its `ignored` parameters, sorted by name where asked for; `None` where nothing is left of it.
///
/// Repeated parameters keep their order among themselves: it may mean something.
pub(super) fn query(query: &str, sort: bool, ignored: impl Fn(&str) -> bool) -> Option<String> {
    let mut parameters: Vec<&str> = query.split('&').collect();
    parameters.retain(|parameter| !ignored(name_of(parameter)));
    if parameters.is_empty() {
        return None;
    }
    if sort {
        parameters.sort_by_key(|parameter| name_of(parameter));
    }
    Some(parameters.join("&"))
}

fn name_of(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}
