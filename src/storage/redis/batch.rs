//! Simultaneous lookups go to the server together: one pipeline reads all their records, and the marks once for all.
//!
//! If no lookup is under way, a new one is sent at once and alone. Otherwise one task lets other ready tasks run first,
//! collects their lookups, and then sends all of them. Each lookup sees the state at its beginning or a later one, because
//! it joins before anything is sent. On a cluster every lookup is sent alone, so that no node waits for another.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{RedisResult, Value};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Shared;
use super::call::{Call, Calls};
use super::managers::Lane;
use super::marks::Marks;
use crate::key::CacheKey;

/// As many go together: all of them wait for the last one's reply.
const MOST: usize = 32;
/// How often a batch looks whether anybody waits for it any more.
const LOOK_BACK: Duration = Duration::from_millis(250);

/// What the server said of a record, and of the marks.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) record: RedisResult<Value>,
    pub(super) marks: Arc<RedisResult<Value>>,
}

/// A lookup that waits.
struct Waiting {
    record: String,
    reply: oneshot::Sender<Reply>,
}

#[derive(Clone, Default)]
pub(super) struct Lookups(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Those that go next. The first of them sees to it.
    next: Vec<Waiting>,
    /// How many batches were formed.
    batches: u64,
    under_way: usize,
}

/// What a lookup has to do for itself and those that go with it.
enum Role {
    Alone(Batch),
    Gather(Gathering),
    /// They are as many as may be.
    Send(Batch),
    Wait,
}

impl Shared {
    /// What is stored under a key.
    pub(super) async fn read(self: &Arc<Self>, key: &CacheKey) -> Reply {
        loop {
            let (reply, role) = self.lookups.join(self.names.record(key), self.link.is_cluster());
            // What others wait for is done by a task of its own: this one may not be polled again for long.
            match role {
                Role::Alone(batch) => batch.go_alone(self).await,
                Role::Gather(gathering) => drop(tokio::spawn(gathering.go(Arc::clone(self)))),
                Role::Send(batch) => drop(tokio::spawn(batch.go(Arc::clone(self)))),
                Role::Wait => {}
            }
            // None comes where that task was dropped with its runtime.
            if let Ok(reply) = reply.await {
                return reply;
            }
        }
    }
}

impl Lookups {
    fn join(&self, record: String, alone: bool) -> (oneshot::Receiver<Reply>, Role) {
        let (reply, receiver) = oneshot::channel();
        let one = Waiting { record, reply };
        let mut state = self.state();
        if alone || (state.under_way == 0 && state.next.is_empty()) {
            return (receiver, Role::Alone(self.form(&mut state, vec![one])));
        }
        state.next.push(one);
        let role = match state.next.len() {
            1 => Role::Gather(Gathering { lookups: self.clone(), number: state.batches }),
            MOST => Role::Send(self.form_next(&mut state)),
            _ => Role::Wait,
        };
        (receiver, role)
    }

    fn form_next(&self, state: &mut State) -> Batch {
        state.batches = state.batches.wrapping_add(1);
        let waiting = std::mem::take(&mut state.next);
        self.form(state, waiting)
    }

    fn form(&self, state: &mut State, waiting: Vec<Waiting>) -> Batch {
        state.under_way += 1;
        Batch { lookups: self.clone(), waiting }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held for those that go next. If it is dropped they are told, as nobody else would see to them.
struct Gathering {
    lookups: Lookups,
    number: u64,
}

impl Gathering {
    async fn go(self, shared: Arc<Shared>) {
        tokio::task::yield_now().await;
        if let Some(batch) = self.end() {
            batch.go(shared).await;
        }
    }

    /// Nothing where they were so many that they have gone already.
    fn end(self) -> Option<Batch> {
        let mut state = self.lookups.state();
        (state.batches == self.number).then(|| self.lookups.form_next(&mut state))
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        let mut state = self.lookups.state();
        if state.batches == self.number {
            state.batches = state.batches.wrapping_add(1);
            state.next.clear();
        }
    }
}

/// Lookups under way. If it is dropped they are told.
struct Batch {
    lookups: Lookups,
    waiting: Vec<Waiting>,
}

impl Batch {
    /// For one whose only lookup is the caller's own.
    async fn go_alone(self, shared: &Shared) {
        let replies = shared.link.send(Lane::Heads, true, &self.calls(shared)).await;
        self.tell(replies);
    }

    async fn go(mut self, shared: Arc<Shared>) {
        self.waiting.retain(|one| !one.reply.is_closed());
        if self.waiting.is_empty() {
            return;
        }
        let calls = self.calls(&shared);
        let mut sending = pin!(shared.link.send(Lane::Heads, true, &calls));
        let replies = loop {
            match timeout(LOOK_BACK, &mut sending).await {
                Ok(replies) => break replies,
                // The link has to know that nobody was patient enough.
                Err(_) if self.waiting.iter().all(|one| one.reply.is_closed()) => return,
                Err(_) => {}
            }
        };
        self.tell(replies);
    }

    fn calls(&self, shared: &Shared) -> Calls {
        let records = self.waiting.iter().map(|one| {
            let mut all = redis::cmd("HGETALL");
            all.arg(&one.record);
            Call::from(all)
        });
        records.chain([Marks::read(&shared.names)]).collect()
    }

    fn tell(mut self, mut replies: Vec<RedisResult<Value>>) {
        let marks = Arc::new(replies.pop().unwrap_or(Ok(Value::Nil)));
        for (one, record) in self.waiting.drain(..).zip(replies) {
            // A caller that is gone needs no answer.
            let _ = one.reply.send(Reply { record, marks: Arc::clone(&marks) });
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.lookups.state().under_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::{Lookups, MOST, Role};

    #[test]
    fn a_lookup_goes_at_once_where_none_is_under_way() {
        let lookups = Lookups::default();
        for _ in 0..3 {
            let (_reply, role) = lookups.join(String::new(), false);
            assert!(matches!(role, Role::Alone(batch) if batch.waiting.len() == 1));
        }
    }

    #[test]
    fn lookups_beside_one_under_way_go_together() {
        let lookups = Lookups::default();
        let (_first, _under_way) = lookups.join(String::new(), false);
        let (_reply, role) = lookups.join("0".into(), false);
        let Role::Gather(gathering) = role else { unreachable!("nobody else does") };
        let others: Vec<_> = (1..5).map(|n| lookups.join(n.to_string(), false)).collect();
        assert!(others.iter().all(|(_, role)| matches!(role, Role::Wait)));
        let batch = gathering.end().unwrap_or_else(|| unreachable!("they have not gone"));
        let records: Vec<_> = batch.waiting.iter().map(|one| one.record.as_str()).collect();
        assert_eq!(records, ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn on_a_cluster_every_lookup_goes_alone() {
        let lookups = Lookups::default();
        let roles: Vec<_> = (0..3).map(|_| lookups.join(String::new(), true).1).collect();
        assert!(roles.iter().all(|role| matches!(role, Role::Alone(batch) if batch.waiting.len() == 1)));
    }

    #[test]
    fn a_full_batch_goes_without_the_first() {
        let lookups = Lookups::default();
        let (_first, _under_way) = lookups.join(String::new(), false);
        let mut joined: Vec<_> = (0..=MOST).map(|n| lookups.join(n.to_string(), false)).collect();
        let last = joined.get(MOST - 1).map(|(_, role)| role);
        assert!(matches!(last, Some(Role::Send(batch)) if batch.waiting.len() == MOST));
        let (_reply, after) = joined.remove(MOST);
        let (_reply, before) = joined.remove(0);
        let (Role::Gather(before), Role::Gather(after)) = (before, after) else { unreachable!("the first") };
        assert!(before.end().is_none(), "those behind are not its own");
        assert_eq!(after.end().map(|batch| batch.waiting.len()), Some(1));
    }

    #[test]
    fn callers_that_wait_for_a_dropped_batch_are_woken_and_try_again() {
        let lookups = Lookups::default();
        let (_first, under_way) = lookups.join(String::new(), false);
        let (_reply, gathering) = lookups.join("0".into(), false);
        let (mut waits, _) = lookups.join("1".into(), false);
        assert_eq!(waits.try_recv().err(), Some(TryRecvError::Empty));
        drop(gathering);
        assert_eq!(waits.try_recv().err(), Some(TryRecvError::Closed));
        let (mut waits, role) = lookups.join("1".into(), false);
        assert!(matches!(role, Role::Gather(_)));
        drop(role);
        assert_eq!(waits.try_recv().err(), Some(TryRecvError::Closed));
        drop(under_way);
        let (_reply, role) = lookups.join("1".into(), false);
        assert!(matches!(role, Role::Alone(_)), "none is under way any more");
    }
}
