//! One exchange, from the request to its response: the table of contents of the crate.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::answer::{self, answer};
use super::collapse::{Asking, Decided};
use super::forward::{Sent, head_of, outgoing, pass, send};
use super::keep::{answers_get, keep};
use super::lookup::Found;
use super::name::{name, rewrite};
use super::opened::{OpenedBodies, open_bodies};
use super::validate::{Verdict, validate};
use super::{background, invalidate, report};
use crate::body::CacheBody;
use crate::config::Config;
use crate::error::BoxError;
use crate::key::{CacheKey, Principal, has_content};
use crate::overrides::CacheOverride;
use crate::policy::{RequestInfo, Reuse, Times, Validation, is_safe, without_origin};
use crate::status::{CacheStatus, Fwd};

/// An exchange with the origin, for the steps after it.
pub(super) struct Exchanged<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) key: &'a CacheKey,
    pub(super) principal: &'a Principal,
    pub(super) original: &'a Parts,
    pub(super) info: &'a RequestInfo<'a>,
    pub(super) found: &'a Found,
    pub(super) times: Times,
}

/// Answers one request: from the store where RFC 9111 allows it, from the origin otherwise.
///
/// `principal` asks; for a hop of a redirect it is the one of the caller's own request.
/// `origin` has been polled ready. What can be done at once is done before the future is made: a hit moves all of it,
/// so it carries no more than a hit needs.
pub(super) fn exchange<S, B, R>(
    config: Arc<Config>,
    principal: Principal,
    origin: S,
    request: Request<B>,
) -> impl Future<Output = Result<Response<CacheBody<R>>, S::Error>> + Send
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body + Default + Send + 'static,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    // 1. What is asked (RFC 9111 section 5.2.1).
    let (mut parts, body) = request.into_parts();
    let overrides = parts.extensions.remove::<CacheOverride>().unwrap_or_default();
    // 2. Name it (section 2).
    rewrite(&config, &mut parts, &overrides);
    let key = name(&config, &principal, &mut parts, &body, &overrides);
    async move {
        let Some(key) = &key else {
            // Boxed, like what follows below, because hits would carry the room for it.
            return Box::pin(pass(&config, origin, parts, body, &overrides, &principal)).await;
        };
        // 3. Look it up, both keyspaces in one trip.
        let departures = config.leaders.departures();
        let asking = Asking { config: &config, key, parts: &parts, overrides: &overrides };
        // 4. Decide (section 4); again, should another request that asks the same be back first.
        let mut turn = asking.decide(asking.look_up().await);
        asking.take_turn(departures, &mut turn).await;

        let validation = match &turn.decision {
            // 5a. Serve.
            Reuse::Serve(serve) => {
                let status = report::hit(serve, turn.collapsed);
                match answer(&config, key, &turn.found, serve, status, None).await {
                    Ok(response) => {
                        config.counters.count(|counters| turn.collapsed.counter(counters));
                        if serve.refresh {
                            let of_part = turn.found.holds_part(serve.index);
                            let request = Request::from_parts(parts, body);
                            background::refresh(&config, key, principal, origin, request, overrides, of_part);
                        }
                        return Ok(response);
                    }
                    // Nothing has been sent yet, so a stored body that cannot be read is only a miss.
                    Err(_) if !asking.wants_stored() => Validation::none(Fwd::Miss),
                    Err(_) => return Ok(only_if_cached(&config, key)),
                }
            }
            Reuse::GatewayTimeout => return Ok(only_if_cached(&config, key)),
            Reuse::Validate(validation) => validation.clone(),
            Reuse::Forward(fwd) => Validation::none(*fwd),
        };
        Box::pin(with_origin(asking, &principal, origin, body, turn, validation)).await
    }
}

/// The answer to a client that wants a stored response or none, where there is none.
fn only_if_cached<R>(config: &Config, key: &CacheKey) -> Response<CacheBody<R>> {
    let status = CacheStatus::generated().with_detail("only-if-cached");
    answer::failed(config, key, StatusCode::GATEWAY_TIMEOUT, status)
}

/// What needs the origin: validates or forwards, invalidates, and keeps what may be kept.
async fn with_origin<S, B, R>(
    asking: Asking<'_>,
    principal: &Principal,
    mut origin: S,
    mut body: B,
    turn: Decided,
    validation: Validation,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body + Default,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    let Asking { config, key, parts, overrides } = asking;
    let Decided { found, leading, collapsed, .. } = turn;
    let info = RequestInfo::new(&head_of(parts), overrides);
    let mut status = collapsed.forwarded(report::forwarded(validation.fwd));
    // Preconditions of the cache's own are sent only where their answer, should it be of no use, does no harm.
    let validation = if is_repeatable(parts, &body) { validation } else { validation.plain() };
    let before = config.store.moment();
    let (mut validation, mut ready) = open_bodies(config, &found, validation).await;
    let (exchanged, response, body) = loop {
        // 5b, 5c. Validate (section 4.3) or forward.
        let request = Request::from_parts(outgoing(parts, &validation, &found.stored), body);
        let Sent { result, times } = send(config, &mut origin, request, &validation).await;
        let exchanged =
            Exchanged { config, key, principal, original: parts, info: &info, found: &found, times };
        let (response, answer) = match result {
            Ok(response) => response.into_parts(),
            // Disconnected: a stale response may serve (section 4.2.4).
            Err(error) => return disconnected(&exchanged, status).await.ok_or(error),
        };
        status.fwd_status = Some(response.status);
        match validate(&exchanged, &validation, ready, &response, answer, &status).await {
            Verdict::Answered(from_store) => return Ok(from_store),
            Verdict::Forwarded(answer) => break (exchanged, response, answer),
            // Once: the answer to a request without preconditions of the cache's own is never of no use.
            Verdict::SendAgain => {
                (validation, ready, body) = (validation.plain(), OpenedBodies::Nothing, B::default());
            }
        }
    };
    if let Some(leading) = &leading {
        leading.answered();
    }
    // 8. Spoil others (section 4.4), before the caller can ask for them and before anything new is stored.
    invalidate::invalidate(config, principal, &info, parts, &response).await;
    invalidate::update_by_head(&exchanged, &response);
    // 6, 7. Keep it as it passes, if it may be kept (section 3).
    let (mut response, kept) = match answers_get(&exchanged, &response, before).await {
        None => keep(&exchanged, response, body, leading).await,
        Some((key, found)) => {
            keep(&Exchanged { key: &key, found: &found, ..exchanged }, response, body, leading).await
        }
    };
    // 9. Say what happened (RFC 9211).
    report::attach(config, Some(key), &mut response, report::kept(status, kept, &found));
    Ok(response)
}

/// Whether the request may be sent a second time: it is safe (RFC 9110 section 9.2.1), and has no content that the
/// first time used up.
fn is_repeatable<B: Body>(parts: &Parts, body: &B) -> bool {
    is_safe(&parts.method) && !has_content(body)
}

/// The stale response that may answer without the origin, if there is one.
async fn disconnected<R>(exchanged: &Exchanged<'_>, status: CacheStatus) -> Option<Response<CacheBody<R>>> {
    let Exchanged { config, key, info, found, times, .. } = *exchanged;
    let serve = without_origin(&config.policy, info, &found.stored, times.response)?;
    answer(config, key, found, &serve, report::stale(config, status, &serve), None).await.ok()
}
