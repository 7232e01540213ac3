//! One exchange, from the request to its response: the table of contents of the crate.

use std::sync::Arc;

use http::{Request, Response, response};
use http_body::Body;
use tower_service::Service;

use super::answer::{answer, gateway_timeout};
use super::background;
use super::collapse::{Decided, collapse, decide, look_up_for};
use super::exchanged::{Exchanged, Named};
use super::forward::{Sent, bypass, is_repeatable, outgoing, send};
use super::invalidate::{invalidate, update_by_head};
use super::keep::{answers_get, keep};
use super::lookup::Found;
use super::name::{name, rewrite};
use super::opened::{OpenedBodies, open_bodies};
use super::origin::{Content, Origin};
use super::report;
use super::validate::{Verdict, disconnected, validate};
use crate::body::CacheBody;
use crate::config::Config;
use crate::key::{Principal, RequestHead};
use crate::overrides::CacheOverride;
use crate::policy::{RequestInfo, Reuse, Validation, wants_stored};
use crate::status::{CacheStatus, Fwd};

/// Answers one request: from the store where RFC 9111 allows it, from the origin otherwise.
///
/// `principal` is who asks. For a hop of a redirect it is the principal of the caller's own request.
/// `origin` has been polled ready. Steps 1 and 2 run before the future is made, so that the future of a hit is small.
pub(super) fn exchange<S, B, R>(
    config: Arc<Config>,
    principal: Principal,
    origin: S,
    request: Request<B>,
) -> impl Future<Output = Result<Response<CacheBody<R>>, S::Error>> + Send
where
    S: Origin<B, R>,
    B: Body + Default + Send + 'static,
    R: Content,
{
    // 1. What is asked (RFC 9111 section 5.2.1).
    let (mut parts, body) = request.into_parts();
    let overrides = parts.extensions.remove::<CacheOverride>().unwrap_or_default();
    // 2. Name it (section 2).
    rewrite(&config, &mut parts, &overrides);
    let key = name(&config, &principal, &mut parts, &body, &overrides);
    async move {
        let info = RequestInfo::new(&RequestHead::from(&parts), &overrides);
        let Some(key) = &key else {
            // Boxed, like `with_origin` below: otherwise the future of a hit would have room for it.
            return Box::pin(bypass(&config, &principal, origin, &parts, body, &info)).await;
        };
        let named = Named { config: &config, key, principal: &principal, original: &parts, info: &info };
        // 3. Look it up, both keyspaces in one trip.
        let departures = config.leaders.departures();
        let found = look_up_for(named).await;
        // 4. Decide (section 4). Decide again if another request for the same has finished first.
        let mut decided = decide(named, found);
        collapse(named, departures, &mut decided).await;
        let validation = match &decided.decision {
            // 5a. Serve, with `Age` (section 4).
            Reuse::Serve(serve) => {
                let status = decided.collapsed.answered(CacheStatus::hit(serve.ttl));
                // Nothing has been sent yet: a stored body that cannot be read is a miss.
                match answer(&config, key, &decided.found, serve, status, None).await {
                    Ok(response) => {
                        config.counters.count(|counters| decided.collapsed.counter(counters));
                        if serve.refresh {
                            let part = decided.found.holds_part(serve.index);
                            let request = background::request(parts, body, overrides, part);
                            let again = Arc::clone(&config);
                            background::refresh(&config, key, || exchange(again, principal, origin, request));
                        }
                        return Ok(response);
                    }
                    Err(_) if !wants_stored(&info) => Validation::none(Fwd::Miss),
                    Err(_) => return Ok(gateway_timeout(&config, key)),
                }
            }
            Reuse::GatewayTimeout => return Ok(gateway_timeout(&config, key)),
            Reuse::Validate(validation) => validation.clone(),
            Reuse::Forward(fwd) => Validation::none(*fwd),
        };
        Box::pin(with_origin(named, origin, body, decided, validation)).await
    }
}

/// The steps that need the origin: validate or forward, invalidate, and store what may be stored.
async fn with_origin<S, B, R>(
    named: Named<'_>,
    mut origin: S,
    body: B,
    decided: Decided,
    validation: Validation,
) -> Result<Response<CacheBody<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body + Default,
    R: Content,
{
    let Named { config, key, principal, original, info } = named;
    let Decided { found, leading, collapsed, .. } = decided;
    let mut status = collapsed.forwarded(CacheStatus::forwarded(validation.fwd));
    let before = config.store.moment();
    // 5b, 5c. Validate (section 4.3) or forward.
    let asking = validate_or_forward(named, &mut origin, body, &found, validation, &mut status);
    let (exchanged, response, body) = match asking.await? {
        Answered::FromStore(response) => return Ok(response),
        Answered::ByOrigin(exchanged, response, body) => (exchanged, response, body),
    };
    if let Some(leading) = &leading {
        leading.answered();
    }
    // 8. Invalidate (section 4.4), before the caller can ask again and before the response is stored.
    invalidate(config, principal, info, original, &response).await;
    update_by_head(&exchanged, &response);
    // 6, 7. Store the response while it passes, if it may be stored (section 3).
    let (mut response, kept) = match answers_get(&exchanged, &response, before).await {
        None => keep(&exchanged, response, body, leading).await,
        Some((key, found)) => {
            let named = Named { key: &key, ..named };
            keep(&Exchanged { named, found: &found, ..exchanged }, response, body, leading).await
        }
    };
    // 9. Say what happened (RFC 9211).
    report::attach(config, Some(key), &mut response, report::kept(status, kept, found.trouble));
    Ok(response)
}

/// What answered a request that was sent to the origin.
#[allow(clippy::large_enum_variant, reason = "it is matched at once")]
enum Answered<'a, R> {
    FromStore(Response<CacheBody<R>>),
    ByOrigin(Exchanged<'a>, response::Parts, R),
}

/// Asks the origin, with preconditions if there is something to validate, and judges its answer. Asks once more without
/// preconditions if the first answer needs a stored response that does not fit it or has been lost.
async fn validate_or_forward<'a, S, B, R>(
    named: Named<'a>,
    origin: &mut S,
    mut body: B,
    found: &'a Found,
    validation: Validation,
    status: &mut CacheStatus,
) -> Result<Answered<'a, R>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body + Default,
    R: Content,
{
    let Named { config, original, .. } = named;
    // The cache adds preconditions only to a request that it can send again if their answer is useless.
    let validation = if is_repeatable(original, &body) { validation } else { validation.plain() };
    let (mut validation, mut opened) = open_bodies(config, found, validation).await;
    loop {
        let request = Request::from_parts(outgoing(original, &validation, &found.stored), body);
        let Sent { result, times } = send(config, origin, request, &validation).await;
        let exchanged = Exchanged { named, found, times };
        let (response, answer) = match result {
            Ok(response) => response.into_parts(),
            // Disconnected: a stale response may serve (section 4.2.4).
            Err(error) => {
                return disconnected(&exchanged, status).await.map(Answered::FromStore).ok_or(error);
            }
        };
        status.fwd_status = Some(response.status);
        match validate(&exchanged, &validation, opened, &response, answer, status).await {
            Verdict::Answered(from_store) => return Ok(Answered::FromStore(from_store)),
            Verdict::Forwarded(answer) => return Ok(Answered::ByOrigin(exchanged, response, answer)),
            // At most once: without preconditions of the cache, every answer is useful.
            Verdict::SendAgain => {
                (validation, opened, body) = (validation.plain(), OpenedBodies::Nothing, B::default());
            }
        }
    }
}
