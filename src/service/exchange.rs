//! One exchange, from the request to its response: the table of contents of the crate.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::answer::{self, answer};
use super::collapse::{Asking, InTurn};
use super::confirm::confirm;
use super::forward::{Sent, head_of, outgoing, pass, send};
use super::keep::{answers_get, keep};
use super::lookup::{Found, look_up};
use super::name::{name, rewrite};
use super::ready::prepare;
use super::{background, report, spoil};
use crate::body::CacheBody;
use crate::config::Config;
use crate::error::BoxError;
use crate::key::{CacheKey, Principal};
use crate::overrides::CacheOverride;
use crate::policy::{Asked, Reuse, Times, Validation, without_origin};
use crate::status::{CacheStatus, Fwd};

/// An exchange with the origin, for the steps after it.
pub(super) struct Exchanged<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) key: &'a CacheKey,
    pub(super) principal: &'a Principal,
    pub(super) original: &'a Parts,
    pub(super) asked: &'a Asked<'a>,
    pub(super) found: &'a Found,
    pub(super) times: Times,
}

/// Answers one request: from the store where RFC 9111 allows it, from the origin otherwise.
///
/// `principal` asks; for a hop of a redirect it is the one of the caller's own request.
/// `origin` has been polled ready and is called at most once. What can be done at once is done before the future is
/// made: a hit moves all of it, so it carries no more than a hit needs.
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
    B: Send + 'static,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    // 1. What is asked (RFC 9111 section 5.2.1).
    let (mut parts, body) = request.into_parts();
    let wishes = parts.extensions.remove::<CacheOverride>().unwrap_or_default();
    // 2. Name it (section 2).
    rewrite(&config, &mut parts, &wishes);
    let key = name(&config, &principal, &parts, &wishes);
    async move {
        let Some(key) = &key else {
            // Boxed, like what follows below, because hits would carry the room for it.
            return Box::pin(pass(&config, origin, parts, body, &wishes, &principal)).await;
        };
        // 3. Look it up, both keyspaces in one trip.
        let departures = config.leaders.departures();
        let asking = Asking { config: &config, key, parts: &parts, wishes: &wishes };
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
                            background::refresh(&config, key, principal, origin, request, wishes, of_part);
                        }
                        return Ok(response);
                    }
                    // Nothing has been sent yet, so a stored body that cannot be read is only a miss.
                    Err(_) => Validation::none(Fwd::Miss),
                }
            }
            Reuse::GatewayTimeout => {
                let status = CacheStatus::generated().with_detail("only-if-cached");
                return Ok(answer::failed(&config, key, StatusCode::GATEWAY_TIMEOUT, status));
            }
            Reuse::Validate(validation) => validation.clone(),
            Reuse::Forward(fwd) => Validation::none(*fwd),
        };
        // Boxed, because hits would carry the room for it.
        Box::pin(async {
            let InTurn { found, leading, collapsed, .. } = turn;
            // 5b, 5c. Validate (section 4.3) or forward.
            let (validation, ready) = prepare(&config, &found, validation).await;
            let request = Request::from_parts(outgoing(&parts, &validation, &found.stored), body);
            let Sent { result, times } = send(&config, origin, request, &validation).await;
            if let Some(leading) = &leading {
                leading.answered();
            }
            let asked = Asked::new(&head_of(&parts), &wishes);
            let mut status = collapsed.forwarded(report::forwarded(validation.fwd));
            let (response, body) = match result {
                Ok(response) => response.into_parts(),
                Err(error) => {
                    // Disconnected: a stale response may serve (section 4.2.4).
                    let stale = without_origin(&config.policy, &asked, &found.stored, times.response);
                    let Some(serve) = stale else { return Err(error) };
                    let status = report::stale(&config, status, &serve);
                    return answer(&config, key, &found, &serve, status, None).await.map_err(|_| error);
                }
            };
            status.fwd_status = Some(response.status);
            let (config, principal, original) = (&config, &principal, &parts);
            let exchanged =
                Exchanged { config, key, principal, original, asked: &asked, found: &found, times };
            let body = match confirm(&exchanged, &validation, ready, &response, body, &status).await {
                ControlFlow::Break(from_store) => return Ok(from_store),
                ControlFlow::Continue(body) => body,
            };
            // 8. Spoil others (section 4.4), before the caller can ask for them and before anything new is stored.
            spoil::invalidate(config, principal, &asked, original, &response).await;
            spoil::update_by_head(&exchanged, &response);
            // 6, 7. Keep it as it passes, if it may be kept (section 3).
            let (mut response, kept) = match answers_get(&exchanged, &response) {
                None => keep(&exchanged, response, body, leading).await,
                Some(key) => {
                    let found = look_up(&config, &key).await;
                    keep(&Exchanged { key: &key, found: &found, ..exchanged }, response, body, leading).await
                }
            };
            // 9. Say what happened (RFC 9211).
            report::attach(&config, Some(key), &mut response, report::kept(status, kept, &found));
            Ok(response)
        })
        .await
    }
}
