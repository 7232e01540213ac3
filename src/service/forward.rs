//! Sending a request on to the origin.

use std::future::poll_fn;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{invalidate, report};
use crate::body::CacheBody;
use crate::config::Config;
use crate::entry::StoredResponse;
use crate::error::BoxError;
use crate::key::{Principal, has_content};
use crate::policy::{RequestInfo, Times, Validation, is_safe, preconditions};

/// Sends a request that bypasses the cache. It still invalidates (RFC 9111 section 4.4).
pub(super) async fn bypass<S, B, R>(
    config: &Arc<Config>,
    principal: &Principal,
    mut origin: S,
    original: &Parts,
    body: B,
    info: &RequestInfo<'_>,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
    R::Error: Into<BoxError>,
{
    config.counters.count(|counters| &counters.bypassed);
    let request = Request::from_parts(original.clone(), body);
    let (response, body) = origin.call(request).await?.into_parts();
    invalidate::invalidate(config, principal, info, original, &response).await;
    let status = report::bypassed(info, response.status);
    let mut response = Response::from_parts(response, CacheBody::passing(body));
    report::attach(config, None, &mut response, status);
    Ok(response)
}

/// The head to send: the client's own, with the preconditions of the validation, if any.
pub(super) fn outgoing(original: &Parts, validation: &Validation, stored: &[StoredResponse]) -> Parts {
    let mut parts = original.clone();
    preconditions(&mut parts.headers, validation, stored);
    parts
}

/// Whether the request may be sent a second time: it is safe (RFC 9110 section 9.2.1), and has no content that the
/// first time used up.
pub(super) fn is_repeatable<B: Body>(parts: &Parts, body: &B) -> bool {
    is_safe(&parts.method) && !has_content(body)
}

/// The result of a request, with its times.
pub(super) struct Sent<R, E> {
    pub(super) result: Result<Response<R>, E>,
    pub(super) times: Times,
}

/// Calls the origin, when it is ready: the first time it has been polled ready before.
pub(super) async fn send<S, B, R>(
    config: &Config,
    origin: &mut S,
    request: Request<B>,
    validation: &Validation,
) -> Sent<R, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    config.counters.count(
        |counters| {
            if validation.is_conditional() { &counters.validations } else { &counters.misses }
        },
    );
    let ready = poll_fn(|cx| origin.poll_ready(cx)).await;
    let sent = config.clock.now();
    let result = match ready {
        Ok(()) => origin.call(request).await,
        Err(error) => Err(error),
    };
    Sent { result, times: Times { request: sent, response: config.clock.now() } }
}
