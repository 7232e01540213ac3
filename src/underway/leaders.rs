//! Leading requests: while one is at the origin, others that ask the same wait for its response.
//!
//! A leader does not pass its response on. A request that waited is looked up again, and gets what the policy gives to
//! any later request.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// How long requests of a kind go to the origin alone after waiting did not help.
const ALONE: Duration = Duration::from_secs(10);
/// How many such kinds of requests are remembered.
const MOST_ALONE: usize = 4_096;
/// How many departures are remembered by kind.
const MOST_DEPARTED: usize = 256;

/// The leading requests of one layer. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Leaders(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// How many leaders have left so far.
    departures: AtomicU64,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    leaders: HashMap<u128, watch::Receiver<Progress>>,
    /// The last ones to leave.
    departed: VecDeque<u128>,
    /// Until when requests of a kind go to the origin each for itself.
    alone: HashMap<u128, Instant>,
}

/// How far a leader is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The origin's answer, or its failure, has arrived.
    answered: bool,
    /// Bytes of the body that have passed.
    passed: u64,
}

/// What a request does about others of its kind.
pub(crate) enum Ticket {
    /// Go to the origin, for all.
    Lead(Leading),
    /// Wait for the one that went.
    Follow(Following),
    /// One has returned since the store was looked into: look again.
    Retry,
    /// Go to the origin, for itself.
    Alone,
}

/// What became of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaderOutcome {
    /// It is back, and has stored what it may.
    Finished,
    /// It was given up before the origin answered.
    GivenUp,
    /// Its caller stopped reading the body.
    Stalled,
}

impl Leaders {
    /// A stamp to look into the store after.
    pub(crate) fn departures(&self) -> u64 {
        self.0.departures.load(Ordering::Acquire)
    }

    /// The ticket of a request of this kind that was looked up after `departures`.
    pub(crate) fn ticket(&self, kind: u128, departures: u64) -> Ticket {
        let mut under_way = self.lock();
        if under_way.alone.get(&kind).is_some_and(|until| Instant::now() < *until) {
            return Ticket::Alone;
        }
        if let Some(progress) = under_way.leaders.get(&kind) {
            return Ticket::Follow(Following { progress: progress.clone() });
        }
        if under_way.has_departed(kind, self.departures().saturating_sub(departures)) {
            return Ticket::Retry;
        }
        let (progress, receiver) = watch::channel(Progress::default());
        under_way.leaders.insert(kind, receiver);
        Ticket::Lead(Leading { leaders: self.clone(), kind, progress })
    }

    /// Waiting for a leader of this kind did not help: for a while its requests go alone.
    pub(crate) fn keep_alone(&self, kind: u128) {
        let (now, mut under_way) = (Instant::now(), self.lock());
        if under_way.alone.len() >= MOST_ALONE {
            under_way.alone.retain(|_, until| now < *until);
        }
        if under_way.alone.len() < MOST_ALONE {
            under_way.alone.insert(kind, now + ALONE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Whether one of this kind was among the last `last` to leave, as far as is known.
    fn has_departed(&self, kind: u128, last: u64) -> bool {
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        last > MOST_DEPARTED || self.departed.iter().rev().take(last).any(|departed| *departed == kind)
    }
}

/// A request that goes to the origin for all of its kind; over when this is dropped.
pub(crate) struct Leading {
    leaders: Leaders,
    kind: u128,
    progress: watch::Sender<Progress>,
}

impl Leading {
    /// The origin has answered.
    pub(crate) fn answered(&self) {
        self.progress.send_modify(|progress| progress.answered = true);
    }

    /// More of the body has passed. Wakes no task: the requests that wait look from time to time.
    pub(crate) fn passed(&self, bytes: u64) {
        self.progress.send_if_modified(|progress| {
            progress.passed = progress.passed.saturating_add(bytes);
            false
        });
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        let mut under_way = self.leaders.lock();
        under_way.leaders.remove(&self.kind);
        if under_way.departed.len() == MOST_DEPARTED {
            under_way.departed.pop_front();
        }
        under_way.departed.push_back(self.kind);
        self.leaders.0.departures.fetch_add(1, Ordering::AcqRel);
    }
}

/// A request that waits for a leader.
pub(crate) struct Following {
    progress: watch::Receiver<Progress>,
}

impl Following {
    /// Waits until the leader is back, or its body has not moved for as long as `patience`.
    pub(crate) async fn outcome(mut self, patience: Duration) -> LeaderOutcome {
        if self.progress.wait_for(|progress| progress.answered).await.is_err() {
            return LeaderOutcome::GivenUp;
        }
        let mut passed = self.progress.borrow_and_update().passed;
        loop {
            if let Ok(changed) = timeout(patience, self.progress.changed()).await {
                if changed.is_err() {
                    return LeaderOutcome::Finished;
                }
            } else {
                let now = self.progress.borrow().passed;
                if now == passed {
                    return LeaderOutcome::Stalled;
                }
                passed = now;
            }
        }
    }
}

impl fmt::Debug for Leaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaders").field("departures", &self.departures()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Leading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leading").field("progress", &self.progress.borrow()).finish_non_exhaustive()
    }
}
