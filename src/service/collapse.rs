//! Waiting for a request under way that asks the same (RFC 9111 section 4).
//!
//! "A cache can use a response that is stored or storable to satisfy multiple requests, provided that it is allowed to
//! reuse that response for the requests in question." The cache looks up a request that waited again afterwards. The
//! request goes to the origin if the new response may not answer it, or does not come in time.

use std::time::Duration;

use http::{HeaderName, header};
use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::Xxh3;

use super::exchanged::Named;
use super::lookup::{Found, look_up};
use super::report::Collapsed;
use crate::policy::{Reuse, reuse};
use crate::status::Fwd;
use crate::underway::{LeaderOutcome, Leading, Ticket};

/// Requests stop waiting for a body that has not moved for this long: its caller may be waiting for them.
const STALLED: Duration = Duration::from_millis(250);

/// Fields by which origins often choose among representations, as long as nothing stored says which they are.
const NEGOTIATED: [HeaderName; 6] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::COOKIE,
    header::ORIGIN,
];

/// What to do for a request, and the lookup that decided it.
pub(super) struct Decided {
    pub(super) found: Found,
    pub(super) decision: Reuse,
    /// Others wait for this request.
    pub(super) leading: Option<Leading>,
    pub(super) collapsed: Collapsed,
}

/// Looks up what could answer. For most methods nothing can, so nothing is looked up for them.
pub(super) async fn look_up_for(named: Named<'_>) -> Found {
    if named.info.is_handled(&named.config.policy) {
        look_up(named.config, named.key).await
    } else {
        Found::default()
    }
}

/// Decides by what was found, for a request that waits for none.
pub(super) fn decide(Named { config, info, .. }: Named<'_>, found: Found) -> Decided {
    let decision = reuse(&config.policy, info, &found.stored, config.clock.now());
    Decided { found, decision, leading: None, collapsed: Collapsed::No }
}

/// Waits for a request of the same kind if one is at the origin and may get the response that this one needs.
/// `departures` was read before the lookup.
pub(super) async fn collapse(named: Named<'_>, departures: u64, decided: &mut Decided) {
    let Some(fwd) = worth_waiting(named, decided) else { return };
    let kind = kind(named, &decided.found);
    match named.config.leaders.ticket(kind, departures) {
        Ticket::Alone => {}
        Ticket::Lead(leading) => decided.leading = Some(leading),
        // Boxed, because few requests wait and all would carry the room for it.
        ticket => Box::pin(wait(named, kind, fwd, ticket, decided)).await,
    }
}

async fn wait(named: Named<'_>, kind: u128, fwd: Fwd, mut ticket: Ticket, decided: &mut Decided) {
    let leaders = &named.config.leaders;
    let until = Instant::now() + named.config.collapse;
    loop {
        let departures = leaders.departures();
        match ticket {
            Ticket::Alone => return,
            Ticket::Lead(leading) => {
                decided.leading = Some(leading);
                return;
            }
            Ticket::Retry => look_again(named, decided).await,
            Ticket::Follow(following) => {
                decided.collapsed = Collapsed::InVain;
                let outcome = timeout_at(until, following.outcome(STALLED)).await;
                let outcome = outcome.unwrap_or(LeaderOutcome::Stalled);
                if outcome == LeaderOutcome::Finished {
                    look_again(named, decided).await;
                }
                if outcome != LeaderOutcome::GivenUp && worth_waiting(named, decided).is_some() {
                    leaders.keep_alone(kind);
                    return;
                }
            }
        }
        if worth_waiting(named, decided).is_none() {
            if decided.collapsed != Collapsed::No && matches!(decided.decision, Reuse::Serve(_)) {
                decided.collapsed = Collapsed::Reuses(fwd);
            }
            return;
        }
        ticket = leaders.ticket(kind, departures);
    }
}

async fn look_again(named: Named<'_>, decided: &mut Decided) {
    let Decided { found, decision, .. } = decide(named, look_up(named.config, named.key).await);
    (decided.found, decided.decision) = (found, decision);
}

/// Why the request would be forwarded, if another request's response could answer it.
fn worth_waiting(Named { config, info, .. }: Named<'_>, decided: &Decided) -> Option<Fwd> {
    let fwd = match &decided.decision {
        Reuse::Forward(fwd) => *fwd,
        Reuse::Validate(validation) if validation.missing.is_none() => validation.fwd,
        _ => return None,
    };
    let spared = matches!(fwd, Fwd::UriMiss | Fwd::VaryMiss | Fwd::Miss | Fwd::Stale);
    let collapses = spared && !config.collapse.is_zero() && decided.found.fence.is_some();
    (collapses && info.takes_anothers_answer()).then_some(fwd)
}

/// Requests with the same number probably get the same answer.
fn kind(named: Named<'_>, found: &Found) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&named.key.hash128().to_le_bytes());
    let nominated = found.stored.iter().flat_map(|stored| &stored.head.selecting.fields);
    for name in NEGOTIATED.iter().chain(nominated.map(|field| &field.name)) {
        for line in named.original.headers.get_all(name) {
            hash.update(&line.len().to_le_bytes());
            hash.update(line.as_bytes());
        }
        hash.update(&usize::MAX.to_le_bytes());
    }
    hash.digest128()
}
