//! The target URI of a request as text (RFC 9110 section 7.1), and one form for all spellings of it.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header};

use super::normalize::{host_and_port, normalize, target_uri};

/// The target URI of a request, without userinfo and fragment, or `None` where it has no authority.
///
/// A request in origin-form has the one of its `Host`, and no scheme of its own: `//example.com/path`.
#[must_use]
pub(crate) fn target_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if uri.scheme().is_some() {
        return target_uri(uri);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    let path = uri.path_and_query()?;
    let host = host_and_port(host.to_str().ok()?, false);
    // The default port of either scheme, because the scheme is unknown.
    let host = host.strip_suffix(":443").unwrap_or(&host);
    Some(format!("//{host}{path}"))
}

/// Scheme, host and port of such a target.
pub(crate) fn origin_of(target: &str) -> &str {
    let host = target.find("//").map_or(0, |at| at + 2);
    let end =
        target.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(target.len(), |end| host + end);
    target.get(..end).unwrap_or(target)
}

/// One form for every spelling of a target URI: percent-encoding, dot segments, case of the host and default port.
///
/// What cannot be read is left as it is.
pub(crate) fn normalized_target(target: &str) -> Cow<'_, str> {
    // Without a scheme, "http" stands in for it: the default port is the only thing that depends on it.
    let borrowed = target.strip_prefix("//");
    let absolute =
        if borrowed.is_some() { Cow::Owned(format!("http:{target}")) } else { Cow::Borrowed(target) };
    let normalized = absolute.parse().ok().and_then(|uri| normalize(&uri));
    match (normalized, borrowed) {
        (Some(normalized), Some(_)) => Cow::Owned(normalized.trim_start_matches("http:").to_owned()),
        (Some(normalized), None) => Cow::Owned(normalized),
        (None, _) => Cow::Borrowed(target),
    }
}
