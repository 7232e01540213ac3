//! Acting on the origin's answer to a validation (RFC 9111 sections 4.3.3, 4.3.4 and 3.4).

use http::{Response, response};

use super::answer::answer;
use super::exchanged::{Exchanged, Named};
use super::keep::complete;
use super::opened::OpenedBodies;
use super::origin::Content;
use super::report;
use crate::body::{CacheBody, StoredSlice};
use crate::policy::{Serve, Update, UpdateAction, Validated, Validation, serve, validated, without_origin};
use crate::redirect::answered_elsewhere;
use crate::status::CacheStatus;

/// What to do with the origin's answer.
#[allow(clippy::large_enum_variant, reason = "it is matched at once, and moved into the future's result")]
pub(super) enum Verdict<R> {
    /// The answer is made from the store.
    Answered(Response<CacheBody<R>>),
    /// It is handled like any other response; this is its body.
    Forwarded(R),
    /// It needs a stored response that does not fit it or has been lost. Only an answer to preconditions of the cache
    /// ends so.
    SendAgain,
}

/// Judges the origin's answer, and makes the response if it comes from the store.
pub(super) async fn validate<R: Content>(
    exchanged: &Exchanged<'_>,
    validation: &Validation,
    opened: OpenedBodies,
    response: &response::Parts,
    body: R,
    status: &CacheStatus,
) -> Verdict<R> {
    if !validation.asks() {
        return Verdict::Forwarded(body);
    }
    let Exchanged { named: Named { config, info, .. }, found, times } = *exchanged;
    let verdict = match validated(&config.policy, info, &found.stored, validation, response, times) {
        // The validators of another URI say nothing about what is stored for this one.
        Validated::Freshened { .. } | Validated::Completed { .. }
            if answered_elsewhere(exchanged.named.original, &response.extensions) =>
        {
            Validated::AskAgain
        }
        verdict => verdict,
    };
    match verdict {
        Validated::Freshened { updates, serve } => {
            let body = opened.body_of(serve);
            let answered = freshened(exchanged, updates, serve, body, status).await;
            answered.map_or(Verdict::SendAgain, Verdict::Answered)
        }
        Validated::Stale(serve) => match stale(exchanged, &serve, status).await {
            Some(answered) => Verdict::Answered(answered),
            None => Verdict::Forwarded(body),
        },
        Validated::Completed { head } => match (opened, found.fence) {
            (OpenedBodies::Parts(before, after), Some(fence)) => {
                let (mut whole, kept) = complete(exchanged, response, *head, fence, (before, after), body);
                report::attach(
                    config,
                    Some(exchanged.named.key),
                    &mut whole,
                    report::kept(status.clone(), kept, found.trouble),
                );
                Verdict::Answered(whole)
            }
            _ => Verdict::SendAgain,
        },
        Validated::AskAgain => {
            // The parts are outdated. Whole responses that a 304 did not name may still be valid.
            validation.parts().for_each(|index| found.discard(config, index));
            Verdict::SendAgain
        }
        Validated::PassOn | Validated::Replaced => Verdict::Forwarded(body),
    }
}

/// The answer from a response that the origin confirmed; `None` when its body has been lost.
async fn freshened<R>(
    exchanged: &Exchanged<'_>,
    updates: Vec<Update>,
    index: usize,
    opened: Option<StoredSlice>,
    status: &CacheStatus,
) -> Option<Response<CacheBody<R>>> {
    let Exchanged { named: Named { config, key, info, .. }, times, .. } = *exchanged;
    config.counters.count(|counters| &counters.freshened);
    let removed: Vec<_> =
        updates.iter().filter(|one| one.action == UpdateAction::Remove).map(|one| one.index).collect();
    let found = exchanged.found.freshened(config, updates);
    let serve = serve(info, &found.stored, index, times.response);
    let from_store = report::from_store(status.clone(), &serve);
    let answered = answer(config, key, &found, &serve, from_store, opened).await;
    // Only now, because the answer's body may be among them.
    removed.into_iter().for_each(|index| found.discard(config, index));
    answered.ok()
}

async fn stale<R>(
    exchanged: &Exchanged<'_>,
    serve: &Serve,
    status: &CacheStatus,
) -> Option<Response<CacheBody<R>>> {
    let Exchanged { named: Named { config, key, .. }, found, .. } = *exchanged;
    answer(config, key, found, serve, report::stale(config, status.clone(), serve), None).await.ok()
}

/// The stale response that may answer without the origin, if there is one (section 4.2.4).
pub(super) async fn disconnected<R>(
    exchanged: &Exchanged<'_>,
    status: &CacheStatus,
) -> Option<Response<CacheBody<R>>> {
    let Exchanged { named: Named { config, info, .. }, found, times } = *exchanged;
    let serve = without_origin(&config.policy, info, &found.stored, times.response)?;
    stale(exchanged, &serve, status).await
}
