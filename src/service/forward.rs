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
use crate::key::{Principal, RequestHead};
use crate::overrides::CacheOverride;
use crate::policy::{RequestInfo, Times, Validation, preconditions};
use crate::status::{CacheStatus, Fwd};

/// What of a request decides.
pub(super) fn head_of(parts: &Parts) -> RequestHead<'_> {
    RequestHead::from(parts)
}

/// Lets a request pass the cache by. What it invalidates is invalidated all the same (RFC 9111 section 4.4).
pub(super) async fn pass<S, B, R>(
    config: &Arc<Config>,
    mut origin: S,
    parts: Parts,
    body: B,
    overrides: &CacheOverride,
    principal: &Principal,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
    R::Error: Into<BoxError>,
{
    config.counters.count(|counters| &counters.passed);
    let original = parts.clone();
    let (response, body) = origin.call(Request::from_parts(parts, body)).await?.into_parts();
    let info = RequestInfo::new(&head_of(&original), overrides);
    invalidate::invalidate(config, principal, &info, &original, &response).await;
    let status = CacheStatus { fwd_status: Some(response.status), ..report::forwarded(Fwd::Bypass) };
    let mut response = Response::from_parts(response, CacheBody::passing(body));
    report::attach(config, None, &mut response, status);
    Ok(response)
}

/// The head to send: the client's own, with the preconditions of the validation where there is one to make.
pub(super) fn outgoing(original: &Parts, validation: &Validation, stored: &[StoredResponse]) -> Parts {
    let mut parts = original.clone();
    preconditions(&mut parts.headers, validation, stored);
    parts
}

/// What came of a request, and when.
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
