//! Request fields that change the meaning of a request for some origins although no `Vary` names them. Without them in
//! the key, one client could plant an answer for another one.

use http::header::HeaderName;
use http::{HeaderMap, Uri, header};

use super::CacheKeyBuilder;
use super::normalize::host_and_port;

/// In the order in which they are written to the key.
const FIELDS: [&str; 15] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
];

/// Those of them that are about the method; the others are about the target.
const METHOD_FIELDS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Whether some origins take this field for the method of a request.
pub(crate) fn overrides_method(name: &HeaderName) -> bool {
    METHOD_FIELDS.contains(&name.as_str())
}

/// Whether some origins take this field for a part of the target of a request.
pub(crate) fn names_another_target(name: &HeaderName) -> bool {
    FIELDS.contains(&name.as_str()) && !overrides_method(name)
}

/// Which such fields a request has.
pub(super) struct Unkeyed {
    listed: bool,
    host_differs: bool,
}

impl Unkeyed {
    /// One pass over the names: asking the map for each of them would cost more than the rest of the key.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let mut found = Self { listed: false, host_differs: false };
        for name in headers.keys() {
            let name = name.as_str();
            match name.as_bytes().first() {
                Some(b'x' | b'f') => found.listed |= FIELDS.contains(&name),
                Some(b'h') if name == header::HOST.as_str() => {
                    found.host_differs = host_differs(headers, uri);
                }
                _ => {}
            }
        }
        found
    }

    /// Writes each field as a part of its own, its name being the label.
    pub(super) fn add_to(self, mut key: CacheKeyBuilder, headers: &HeaderMap) -> CacheKeyBuilder {
        if self.host_differs {
            for value in headers.get_all(header::HOST) {
                key = key.part(header::HOST.as_str(), value);
            }
        }
        if self.listed {
            for field in FIELDS {
                for value in headers.get_all(field) {
                    key = match value.to_str() {
                        Ok(value) if field == "forwarded" => add_forwarded(key, value),
                        _ => key.part(field, value),
                    };
                }
            }
        }
        key
    }
}

fn host_differs(headers: &HeaderMap, uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return true };
    if host.as_bytes() == authority.as_bytes() {
        return false;
    }
    let is_https = uri.scheme_str() == Some("https");
    let Ok(host) = host.to_str() else { return true };
    host.contains('@') || host_and_port(host, is_https) != host_and_port(authority, is_https)
}

/// Only the members of `Forwarded` (RFC 7239) about the target. It also names the client, which would separate all
/// clients.
fn add_forwarded(key: CacheKeyBuilder, value: &str) -> CacheKeyBuilder {
    // Quoted strings can hold the separators.
    if value.contains('"') {
        return key.part("forwarded", value);
    }
    let about_target = |pair: &&str| {
        pair.split_once('=').is_some_and(|(name, _)| {
            name.trim().eq_ignore_ascii_case("host") || name.trim().eq_ignore_ascii_case("proto")
        })
    };
    value
        .split([',', ';'])
        .map(str::trim)
        .filter(about_target)
        .fold(key, |key, pair| key.part("forwarded", pair))
}
