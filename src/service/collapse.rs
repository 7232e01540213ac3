//! Waiting for a request under way that asks the same (RFC 9111 section 4).
//!
//! "A cache can use a response that is stored or storable to satisfy multiple requests, provided that it is allowed to
//! reuse that response for the requests in question." Whoever waits looks into the store again afterwards, and goes to
//! the origin itself if what was brought may not answer it, or does not come in time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, header};
use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::Xxh3;

use super::forward::head_of;
use super::lookup::{Found, look_up};
use crate::config::Config;
use crate::key::CacheKey;
use crate::overrides::CacheOverride;
use crate::policy::{RequestInfo, Reuse, reuse, wants_stored};
use crate::status::{CacheStatus, Fwd};
use crate::store::Counters;
use crate::underway::{LeaderOutcome, Leading, Ticket};

/// A body that moves no further for so long is not waited for: its caller may be waiting for us.
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

/// A request, as far as what is stored decides about it.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) key: &'a CacheKey,
    pub(super) parts: &'a Parts,
    pub(super) overrides: &'a CacheOverride,
}

/// What is known of a request when its turn has come.
pub(super) struct Decided {
    pub(super) found: Found,
    pub(super) decision: Reuse,
    /// Others wait for this request.
    pub(super) leading: Option<Leading>,
    pub(super) collapsed: Collapsed,
}

/// Whether a request waited for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collapsed {
    /// It did not.
    No,
    /// It did, and may have what the other one brought. It would have gone forward for this reason.
    Reuses(Fwd),
    /// It did, in vain.
    InVain,
}

impl Asking<'_> {
    /// Whether the client wants a stored response or none.
    pub(super) fn wants_stored(&self) -> bool {
        wants_stored(&RequestInfo::new(&head_of(self.parts), self.overrides))
    }

    /// What is stored that could answer. Nothing can answer most methods, so that nothing is looked up for them.
    pub(super) async fn look_up(&self) -> Found {
        if RequestInfo::new(&head_of(self.parts), self.overrides).is_handled(&self.config.policy) {
            look_up(self.config, self.key).await
        } else {
            Found::default()
        }
    }

    /// Decides by what was found, for a request that waits for none.
    pub(super) fn decide(&self, found: Found) -> Decided {
        let info = RequestInfo::new(&head_of(self.parts), self.overrides);
        let decision = reuse(&self.config.policy, &info, &found.stored, self.config.clock.now());
        Decided { found, decision, leading: None, collapsed: Collapsed::No }
    }

    /// Waits for a request of the same kind, where one is at the origin and may bring what this one would go for.
    /// `departures` is from before the store was looked into.
    pub(super) async fn take_turn(&self, departures: u64, state: &mut Decided) {
        let Some(fwd) = self.worth_waiting(state) else { return };
        let kind = self.kind(&state.found);
        match self.config.leaders.ticket(kind, departures) {
            Ticket::Alone => {}
            Ticket::Lead(leading) => state.leading = Some(leading),
            // Boxed, because few requests wait and all would carry the room for it.
            turn => Box::pin(self.wait(kind, fwd, turn, state)).await,
        }
    }

    async fn wait(&self, kind: u128, fwd: Fwd, mut turn: Ticket, state: &mut Decided) {
        let leaders = &self.config.leaders;
        let until = Instant::now() + self.config.collapse;
        loop {
            let departures = leaders.departures();
            match turn {
                Ticket::Alone => return,
                Ticket::Lead(leading) => {
                    state.leading = Some(leading);
                    return;
                }
                Ticket::Retry => self.look_again(state).await,
                Ticket::Follow(following) => {
                    state.collapsed = Collapsed::InVain;
                    let led =
                        timeout_at(until, following.outcome(STALLED)).await.unwrap_or(LeaderOutcome::Stalled);
                    if led == LeaderOutcome::Finished {
                        self.look_again(state).await;
                    }
                    if led != LeaderOutcome::GivenUp && self.worth_waiting(state).is_some() {
                        leaders.keep_alone(kind);
                        return;
                    }
                }
            }
            if self.worth_waiting(state).is_none() {
                if state.collapsed != Collapsed::No && matches!(state.decision, Reuse::Serve(_)) {
                    state.collapsed = Collapsed::Reuses(fwd);
                }
                return;
            }
            turn = leaders.ticket(kind, departures);
        }
    }

    async fn look_again(&self, state: &mut Decided) {
        let Decided { found, decision, .. } = self.decide(look_up(self.config, self.key).await);
        (state.found, state.decision) = (found, decision);
    }

    /// Why the request would go forward, if another's answer could spare it that.
    fn worth_waiting(&self, state: &Decided) -> Option<Fwd> {
        let fwd = match &state.decision {
            Reuse::Forward(fwd) => *fwd,
            Reuse::Validate(validation) if validation.missing.is_none() => validation.fwd,
            _ => return None,
        };
        let spared = matches!(fwd, Fwd::UriMiss | Fwd::VaryMiss | Fwd::Miss | Fwd::Stale);
        let collapses = spared && !self.config.collapse.is_zero() && state.found.fence.is_some();
        (collapses && RequestInfo::new(&head_of(self.parts), self.overrides).takes_anothers_answer())
            .then_some(fwd)
    }

    /// Requests with the same number probably get the same answer.
    fn kind(&self, found: &Found) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&self.key.hash128().to_le_bytes());
        let nominated = found.stored.iter().flat_map(|stored| &stored.head.selecting.fields);
        for name in NEGOTIATED.iter().chain(nominated.map(|field| &field.name)) {
            for line in self.parts.headers.get_all(name) {
                hash.update(&line.len().to_le_bytes());
                hash.update(line.as_bytes());
            }
            hash.update(&usize::MAX.to_le_bytes());
        }
        hash.digest128()
    }
}

impl Collapsed {
    /// What is said of an answer from the store (RFC 9211 section 2.6).
    pub(super) fn answered(self, hit: CacheStatus) -> CacheStatus {
        match self {
            Self::Reuses(fwd) => {
                CacheStatus { ttl: hit.ttl, ..CacheStatus::forwarded(fwd) }.with_collapsed(true)
            }
            Self::No | Self::InVain => hit,
        }
    }

    pub(super) fn counter(self, counters: &Counters) -> &AtomicU64 {
        if matches!(self, Self::Reuses(_)) { &counters.collapsed } else { &counters.hits }
    }

    /// What is said of a request that went forward all the same.
    pub(super) fn forwarded(self, status: CacheStatus) -> CacheStatus {
        if self == Self::No { status } else { status.with_collapsed(false) }
    }
}
