//! Acting on the origin's answer to a validation (RFC 9111 sections 4.3.3, 4.3.4 and 3.4).

use std::ops::ControlFlow;

use http::{Response, StatusCode, response};
use http_body::Body;

use super::answer::{answer, failed};
use super::exchange::Exchanged;
use super::keep::complete;
use super::ready::Ready;
use super::report;
use crate::body::{CacheBody, StoredSlice};
use crate::entry::StoredHead;
use crate::error::BoxError;
use crate::policy::{Serve, Validated, Validation, serve, validated};
use crate::status::CacheStatus;

/// Breaks with the answer that is made from the store; continues with the origin's own, to be handled like any other.
pub(super) async fn confirm<R>(
    exchanged: &Exchanged<'_>,
    validation: &Validation,
    ready: Ready,
    response: &response::Parts,
    body: R,
    status: &CacheStatus,
) -> ControlFlow<Response<CacheBody<R>>, R>
where
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    if !validation.asks() {
        return ControlFlow::Continue(body);
    }
    let Exchanged { config, asked, found, times, .. } = *exchanged;
    match validated(&config.policy, asked, &found.stored, validation, response, times) {
        Validated::Freshened { updates, serve, discard } => {
            let opened = ready.body_of(serve);
            ControlFlow::Break(freshened(exchanged, updates, serve, opened, discard, status).await)
        }
        Validated::Stale(serve) => match stale(exchanged, &serve, status).await {
            Some(answered) => ControlFlow::Break(answered),
            None => ControlFlow::Continue(body),
        },
        Validated::Completed { head } => ControlFlow::Break(match (ready, found.fence) {
            (Ready::Parts(before, after), Some(fence)) => {
                let mut response = complete(exchanged, *head, fence, before, body, after);
                let status = CacheStatus { stored: true, ..status.clone() };
                report::attach(config, Some(exchanged.key), &mut response, status);
                response
            }
            _ => bad_gateway(exchanged, status, "stored part lost"),
        }),
        // The request cannot be sent twice. Without the stored responses the next one is asked plainly.
        Validated::AskAgain => {
            validation.judged().for_each(|index| found.discard(config, index));
            ControlFlow::Break(bad_gateway(exchanged, status, "validation answered for another response"))
        }
        Validated::PassOn | Validated::Replaced => ControlFlow::Continue(body),
    }
}

async fn freshened<R>(
    exchanged: &Exchanged<'_>,
    updates: Vec<(usize, StoredHead)>,
    index: usize,
    opened: Option<StoredSlice>,
    discard: bool,
    status: &CacheStatus,
) -> Response<CacheBody<R>> {
    let Exchanged { config, key, asked, times, .. } = *exchanged;
    config.counters.count(|counters| &counters.confirmed);
    let found = exchanged.found.freshened(config, updates);
    let serve = serve(asked, &found.stored, index, times.response);
    let from_store = report::from_store(status.clone(), &serve);
    let answered = answer(config, key, &found, &serve, from_store, opened).await;
    if discard {
        found.discard(config, index);
    }
    // The origin was asked for a confirmation only; without the stored body there is nothing to confirm.
    answered.unwrap_or_else(|_| bad_gateway(exchanged, status, "stored body lost"))
}

async fn stale<R>(
    exchanged: &Exchanged<'_>,
    serve: &Serve,
    status: &CacheStatus,
) -> Option<Response<CacheBody<R>>> {
    let Exchanged { config, key, found, .. } = *exchanged;
    answer(config, key, found, serve, report::stale(config, status.clone(), serve), None).await.ok()
}

fn bad_gateway<R>(
    exchanged: &Exchanged<'_>,
    status: &CacheStatus,
    detail: &'static str,
) -> Response<CacheBody<R>> {
    let status = status.clone().with_detail(detail);
    failed(exchanged.config, exchanged.key, StatusCode::BAD_GATEWAY, status)
}
