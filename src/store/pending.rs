//! Invalidations that the storage has not confirmed: respected by every lookup of this layer until it has.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::entry::{GroupId, StoredHead};

/// More are not remembered one by one: everything stored before is then distrusted.
const MOST: usize = 65_536;
/// How many groups are remembered in the order in which they were named, and how many calls as confirmed.
const RECENT: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// With this, the usual case of none costs one load.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the latest call.
    calls: u64,
    /// The latest call that named each group.
    groups: HashMap<GroupId, u64>,
    /// The call that was one too many.
    everything: Option<u64>,
    /// The latest groups that were named, confirmed or not, with their calls.
    recent: VecDeque<(u64, GroupId)>,
    /// The last call that is not in `recent` any more.
    forgotten: u64,
    /// The latest calls that the storage has confirmed, in the order in which it did.
    counted: VecDeque<u64>,
    retrying: bool,
}

/// What the storage must still be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Groups(Vec<GroupId>),
    Everything,
}

/// One call, or all of them up to now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call(u64);

impl Pending {
    /// Remembers these groups. From now on lookups respect them.
    pub(super) fn add(&self, groups: &[GroupId]) -> Call {
        let mut state = self.lock();
        state.calls += 1;
        let call = state.calls;
        if state.groups.len().saturating_add(groups.len()) > MOST {
            state.groups.clear();
            state.everything = Some(call);
        } else if state.everything.is_none() {
            state.groups.extend(groups.iter().map(|group| (*group, call)));
        } else {
            state.everything = Some(call);
        }
        state.recent.extend(groups.iter().map(|group| (call, *group)));
        while state.recent.len() > RECENT {
            state.forgotten = state.recent.pop_front().map_or(call, |(call, _)| call);
        }
        self.any.store(true, Ordering::SeqCst);
        Call(call)
    }

    /// The number of the latest call.
    pub(super) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The storage has counted this call.
    pub(super) fn counted(&self, Call(call): Call) {
        let mut state = self.lock();
        if state.counted.len() == RECENT {
            state.counted.pop_front();
        }
        state.counted.push_back(call);
    }

    /// How many calls that began since then the storage has counted, or fewer.
    pub(super) fn counted_since(&self, since: u64) -> u64 {
        self.lock().counted.iter().filter(|call| **call > since).count() as u64
    }

    /// Whether anything but the latest call has named a group of this head since then, as far as is known.
    pub(super) fn named_again(&self, head: &StoredHead, since: u64) -> bool {
        let state = self.lock();
        let groups: Vec<_> = head.group_ids().collect();
        let mut calls: Vec<_> = state.recent.iter().rev().take_while(|(call, _)| *call > since).collect();
        calls.retain(|(_, group)| groups.contains(group));
        calls.dedup_by_key(|(call, _)| *call);
        state.forgotten > since || calls.len() > 1
    }

    /// The storage has confirmed these, as they were asked for up to this call.
    pub(super) fn confirmed(&self, due: &Due, Call(call): Call) {
        let mut state = self.lock();
        match due {
            Due::Groups(groups) => {
                for group in groups {
                    if state.groups.get(group).is_some_and(|latest| *latest <= call) {
                        state.groups.remove(group);
                    }
                }
            }
            Due::Everything if state.everything.is_some_and(|latest| latest <= call) => {
                state.everything = None;
            }
            Due::Everything => {}
        }
        let any = state.everything.is_some() || !state.groups.is_empty();
        self.any.store(any, Ordering::SeqCst);
    }

    /// What is due, and up to which call; `None` when nothing is.
    pub(super) fn due(&self) -> Option<(Due, Call)> {
        let state = self.lock();
        let call = Call(state.calls);
        if state.everything.is_some() {
            return Some((Due::Everything, call));
        }
        if state.groups.is_empty() {
            return None;
        }
        Some((Due::Groups(state.groups.keys().copied().collect()), call))
    }

    /// Whether the caller is to retry: no other task does yet.
    pub(super) fn begin_retrying(&self) -> bool {
        !std::mem::replace(&mut self.lock().retrying, true)
    }

    pub(super) fn end_retrying(&self) {
        self.lock().retrying = false;
    }

    /// Whether nothing is pending.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    /// Whether a stored response is concerned.
    pub(super) fn cover(&self, head: &StoredHead) -> bool {
        let state = self.lock();
        state.everything.is_some() || head.group_ids().any(|group| state.groups.contains_key(&group))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::StatusCode;

    use super::{Due, GroupId, MOST, Pending, StoredHead};
    use crate::key::CacheKey;

    fn stored(uri: &str) -> StoredHead {
        let mut head = StoredHead::new(CacheKey::builder().build(), StatusCode::OK);
        head.uri = uri.to_owned();
        head
    }

    #[test]
    fn what_was_asked_for_again_meanwhile_stays_pending() {
        let (pending, group) = (Pending::default(), GroupId::of_target("http://a/"));
        let first = pending.add(&[group]);
        let second = pending.add(&[group]);
        pending.confirmed(&Due::Groups(vec![group]), first);
        assert!(pending.cover(&stored("http://a/")));
        pending.confirmed(&Due::Groups(vec![group]), second);
        assert!(pending.is_empty());
    }

    #[test]
    fn one_too_many_distrusts_everything_until_all_is_confirmed() {
        let pending = Pending::default();
        for number in 0..=MOST {
            assert!(!pending.cover(&stored("http://other/")), "{number}");
            pending.add(&[GroupId::of_target(&format!("http://a/{number}"))]);
        }
        assert!(pending.cover(&stored("http://other/")));
        let (due, call) = pending.due().unwrap();
        assert_eq!(due, Due::Everything);
        pending.add(&[GroupId::of_target("http://b/")]);
        pending.confirmed(&due, call);
        assert!(pending.cover(&stored("http://b/")), "asked for after the clearing began");
        let (due, call) = pending.due().unwrap();
        pending.confirmed(&due, call);
        assert!(pending.is_empty() && pending.due().is_none());
    }
}
