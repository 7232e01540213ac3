//! Making the key of a request (RFC 9111 section 2), and determining its principal.

use http::request::Parts;
use http::{Method, Uri};
use http_body::Body;

use crate::config::Config;
use crate::key::{CacheKey, Credentials, Principal, RequestContent, RequestHead};
use crate::overrides::{CacheMode, CacheOverride};

/// The principal of a request. It is determined once for a call, from the request as the caller made it.
pub(super) fn principal<'a>(config: &Config, request: impl Into<RequestHead<'a>>) -> Principal {
    Principal::of(&*config.make_key, &request.into())
}

/// Sets the target that the request is sent with. The key is made of this target.
pub(super) fn rewrite(config: &Config, parts: &mut Parts, overrides: &CacheOverride) {
    if overrides.mode != CacheMode::Bypass
        && let Some(uri) = config.make_key.rewrite(&parts.uri)
    {
        parts.uri = uri;
    }
}

/// The key of this request; `None` if it bypasses the cache.
pub(super) fn name<B: Body>(
    config: &Config,
    principal: &Principal,
    parts: &mut Parts,
    body: &B,
    overrides: &CacheOverride,
) -> Option<CacheKey> {
    RequestContent::verify(parts, body);
    let head = principal.shown(RequestHead::from(&*parts));
    let content = keyed_content(config, &head);
    let head = with_content(head, content.as_ref());
    let key = named(config, principal, &head, overrides)?;
    // A `MakeKey` of the user's may leave the content out.
    if content.is_some_and(|digest| key.part(CacheKey::BODY) != Some(&digest)) {
        RequestContent::forget(parts);
    }
    Some(key)
}

/// The whole key of a request that has not been sent yet.
pub(crate) fn whole_key(config: &Config, request: &RequestHead<'_>) -> Option<CacheKey> {
    let computed = CacheOverride::default();
    let overrides = request.extensions.get::<CacheOverride>().unwrap_or(&computed);
    let content = keyed_content(config, request);
    let head = with_content(*request, content.as_ref());
    named(config, &principal(config, *request), &head, overrides)
}

/// The digest of the request's content under the user's secret.
fn keyed_content(config: &Config, request: &RequestHead<'_>) -> Option<[u8; 32]> {
    let hash_key = config.policy.principal_hash_key();
    request.body_digest.map(|digest| RequestContent::keyed_digest(digest, hash_key))
}

fn with_content<'a>(head: RequestHead<'a>, digest: Option<&'a [u8; 32]>) -> RequestHead<'a> {
    match digest {
        Some(digest) => head.with_body_digest(digest),
        None => head,
    }
}

/// The key under which a response to GET for `uri` is stored, for a client like the one that sent `original`.
pub(super) fn key_of(
    config: &Config,
    principal: &Principal,
    original: &Parts,
    uri: &Uri,
) -> Option<CacheKey> {
    let request = RequestHead::new(&Method::GET, uri, &original.headers, &original.extensions);
    let request = principal.shown(request);
    let key = config.make_key.make_key(&request)?;
    Some(isolated(config, principal, &request, key))
}

fn named(
    config: &Config,
    principal: &Principal,
    request: &RequestHead<'_>,
    overrides: &CacheOverride,
) -> Option<CacheKey> {
    if overrides.mode == CacheMode::Bypass {
        return None;
    }
    let key = overrides.key.clone().or_else(|| config.make_key.make_key(request))?;
    Some(isolated(config, principal, request, key))
}

/// A key that no other principal has, for every `MakeKey`.
fn isolated(config: &Config, principal: &Principal, request: &RequestHead<'_>, key: CacheKey) -> CacheKey {
    // RFC 9111 section 3.5 says when a shared cache may reuse the response to an authorized request.
    let credentials =
        if config.policy.is_shared() { Credentials::Shared } else { config.make_key.credentials() };
    principal.add_to(key, request, credentials, config.policy.principal_hash_key())
}
