//! Background refreshes: one per key at a time, and a pause after a failed one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::key::CacheKey;

/// Pause after the first failure, in milliseconds; it doubles with each further one.
const FIRST_PAUSE: i64 = 1_000;
const LONGEST_PAUSE: i64 = 60_000;
/// More keys than this are not tracked at once; a refresh beyond them has to wait.
const MOST_KEYS: usize = 4_096;

/// The refreshes of one layer. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refreshes(Arc<Mutex<HashMap<u128, State>>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    running: bool,
    failures: u32,
    not_before: Timestamp,
}

/// A refresh under way. Dropped without an end it counts as failed.
#[derive(Debug)]
pub(crate) struct Refreshing {
    refreshes: Refreshes,
    hash: u128,
    began: Timestamp,
    ended: bool,
}

impl Refreshes {
    /// Leave to refresh what is stored under `key`; `None` while another refresh runs or the pause lasts.
    pub(crate) fn begin(&self, key: &CacheKey, now: Timestamp) -> Option<Refreshing> {
        let hash = key.hash128();
        let mut keys = self.lock();
        if keys.len() >= MOST_KEYS {
            keys.retain(|_, state| state.running || state.not_before > now);
        }
        if keys.len() >= MOST_KEYS && !keys.contains_key(&hash) {
            return None;
        }
        let state = keys.entry(hash).or_default();
        if state.running || state.not_before > now {
            return None;
        }
        state.running = true;
        Some(Refreshing { refreshes: self.clone(), hash, began: now, ended: false })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refreshing {
    /// The refresh is over; after a failure the key is left alone for a while.
    pub(crate) fn end(mut self, answered: bool, now: Timestamp) {
        self.finish(answered, now);
    }

    fn finish(&mut self, answered: bool, now: Timestamp) {
        self.ended = true;
        let mut keys = self.refreshes.lock();
        if answered {
            keys.remove(&self.hash);
        } else if let Some(state) = keys.get_mut(&self.hash) {
            let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(6)).min(LONGEST_PAUSE);
            *state = State {
                running: false,
                failures: state.failures.saturating_add(1),
                not_before: now.plus_millis(pause),
            };
        }
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        if !self.ended {
            let began = self.began;
            self.finish(false, began);
        }
    }
}
