//! Where a response redirects to.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};

use crate::key::resolve;

/// Where a response redirects to, if it does (RFC 9110 section 15.4).
pub(crate) fn target(asked: &Uri, status: StatusCode, headers: &HeaderMap) -> Option<Uri> {
    if !is_redirect(status) {
        return None;
    }
    // Section 10.2.2 has one Location. If there are different ones, readers do not agree on which counts.
    let mut locations = headers.get_all(LOCATION).iter();
    let location = locations.next()?;
    if locations.any(|other| other != location) {
        return None;
    }
    resolve(asked, std::str::from_utf8(location.as_bytes()).ok()?)
}

/// Statuses that send the client to another URI with the same kind of request.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
