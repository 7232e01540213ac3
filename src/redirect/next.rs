//! The request that follows a redirect (RFC 9110 section 15.4).

use http::header::{EXPECT, HeaderName, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Uri};

use super::crossing::{Crossing, copy};
use super::{answered_by, target};
use crate::key::{RequestContent, overrides_method, same_origin};
use crate::overrides::CacheOverride;

/// The next request; `None` if the caller gets the redirect itself.
///
/// That is so if the redirect has no target, if the target is not HTTP, and if the content of the request would have to be
/// sent again.
pub(crate) fn next<B>(
    asked: &Parts,
    has_content: bool,
    redirect: &Response<B>,
    crossing: &Crossing,
) -> Option<Parts> {
    if asked.method == Method::CONNECT {
        return None;
    }
    let base = answered_by(redirect.extensions()).unwrap_or(&asked.uri);
    let uri = target(base, redirect.status(), redirect.headers()).filter(is_http)?;
    let (method, content) = repeated(&asked.method, redirect.status());
    if content == Content::Kept && has_content {
        return None;
    }
    let mut next = asked.clone();
    // Where another URI answered than was asked, it had no credentials for the one asked.
    let stays = same_origin(&asked.uri, &uri) && same_origin(base, &uri);
    if !stays {
        crossing.leave_fields(&mut next.headers, &asked.uri);
        next.extensions = crossing.extensions(&asked.extensions);
    }
    match content {
        Content::Kept => copy::<RequestContent>(&asked.extensions, &mut next.extensions),
        Content::Dropped => {
            drop_content_fields(&mut next.headers);
            // The status says which method is next.
            remove_where(&mut next.headers, overrides_method);
            next.extensions.remove::<RequestContent>();
        }
    }
    // A key names what was asked for first; what that leads to has a name of its own.
    if let Some(overrides) = next.extensions.get_mut::<CacheOverride>() {
        overrides.key = None;
    }
    next.method = method;
    next.uri = uri;
    Some(next)
}

fn is_http(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Kept,
    Dropped,
}

/// The method of the next request, and whether it has the content of this one.
fn repeated(method: &Method, status: StatusCode) -> (Method, Content) {
    match status {
        // Section 15.4.4: "a retrieval request (a GET or HEAD request if using HTTP)".
        StatusCode::SEE_OTHER if *method == Method::HEAD => (Method::HEAD, Content::Dropped),
        StatusCode::SEE_OTHER => (Method::GET, Content::Dropped),
        // Sections 15.4.2 and 15.4.3: "a user agent MAY change the request method from POST to GET".
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => {
            (Method::GET, Content::Dropped)
        }
        _ => (method.clone(), Content::Kept),
    }
}

/// "remove content-specific header fields, including (but not limited to) Content-Encoding, Content-Language,
/// Content-Location, Content-Type, Content-Length, Digest, Last-Modified", and what says how content is sent.
fn drop_content_fields(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        name.as_str().starts_with("content-")
            || matches!(name.as_str(), "digest" | "repr-digest" | "range")
            // They were about the resource to change, not about what is retrieved now.
            || name.as_str().starts_with("if-")
            || [LAST_MODIFIED, TRANSFER_ENCODING, TRAILER, EXPECT].contains(name)
    });
}

fn remove_where(headers: &mut HeaderMap, which: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| which(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
