//! Background refreshes: one per key at a time, and a pause after a failed one.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::clock::{self, Timestamp};
use crate::key::CacheKey;

/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many keys are tracked at once. A further refresh replaces the one that has run the longest: an origin
/// that never answers must not stop the refreshes of all others.
const MOST_KEYS: usize = 4_096;
/// A refresh that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(300);

/// The refreshes of one layer. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refreshes(Arc<Mutex<Keys>>);

#[derive(Debug, Default)]
struct Keys {
    states: HashMap<u128, State>,
    /// Number of the latest refresh.
    begun: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The refresh that runs.
    running: Option<u64>,
    task: Option<AbortHandle>,
    failures: u32,
    not_before: Timestamp,
}

/// Permission to refresh. If it is dropped without an end, the refresh counts as failed.
#[derive(Debug)]
pub(crate) struct Refreshing {
    refreshes: Refreshes,
    hash: u128,
    number: u64,
    began: Timestamp,
    ended: bool,
}

impl Refreshes {
    /// Permission to refresh what is stored under `key`; `None` while another refresh runs or the pause lasts.
    pub(crate) fn begin(&self, key: &CacheKey, now: Timestamp) -> Option<Refreshing> {
        let hash = key.hash128();
        let mut keys = self.lock();
        if keys.states.len() >= MOST_KEYS && !keys.states.contains_key(&hash) {
            keys.make_room(now);
        }
        keys.begun += 1;
        let number = keys.begun;
        let state = keys.states.entry(hash).or_default();
        if state.running.is_some() || state.not_before > now {
            return None;
        }
        state.running = Some(number);
        Some(Refreshing { refreshes: self.clone(), hash, number, began: now, ended: false })
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn make_room(&mut self, now: Timestamp) {
        self.states.retain(|_, state| state.running.is_some() || state.not_before > now);
        if self.states.len() < MOST_KEYS {
            return;
        }
        // What only waits goes before what runs.
        let first = self.states.iter().min_by_key(|(_, state)| state.running);
        if let Some(hash) = first.map(|(hash, _)| *hash)
            && let Some(State { task: Some(task), .. }) = self.states.remove(&hash)
        {
            task.abort();
        }
    }
}

impl Refreshing {
    /// Runs the refresh in the background. `refresh` says whether the origin answered, and `now` when it is over.
    pub(crate) fn run(
        self,
        refresh: impl Future<Output = bool> + Send + 'static,
        now: impl FnOnce() -> Timestamp + Send + 'static,
    ) {
        let (refreshes, hash, number) = (self.refreshes.clone(), self.hash, self.number);
        let task = tokio::spawn(async move {
            let answered = timeout(LONGEST, refresh).await.unwrap_or(false);
            self.end(answered, now());
        });
        if let Some(state) =
            refreshes.lock().states.get_mut(&hash).filter(|state| state.running == Some(number))
        {
            state.task = Some(task.abort_handle());
        }
    }

    /// The refresh is over; after a failure the key is left alone for a while.
    fn end(mut self, answered: bool, now: Timestamp) {
        self.finish(answered, now);
    }

    fn finish(&mut self, answered: bool, now: Timestamp) {
        self.ended = true;
        let mut keys = self.refreshes.lock();
        // Another one may have taken its place.
        let Some(state) = keys.states.get_mut(&self.hash).filter(|state| state.running == Some(self.number))
        else {
            return;
        };
        if answered {
            keys.states.remove(&self.hash);
        } else {
            let pause = clock::back_off(FIRST_PAUSE, state.failures, LONGEST_PAUSE);
            let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            let failures = state.failures.saturating_add(1);
            *state = State { running: None, task: None, failures, not_before: now.plus_millis(pause) };
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

#[cfg(test)]
#[allow(clippy::expect_used, reason = "tests")]
mod tests {
    use super::{MOST_KEYS, Refreshes, Timestamp};
    use crate::key::CacheKey;

    fn key(number: usize) -> CacheKey {
        CacheKey::builder().part(CacheKey::URI, number.to_string()).build()
    }

    #[tokio::test(start_paused = true)]
    async fn refreshes_that_never_end_do_not_stop_others() {
        let (refreshes, now) = (Refreshes::default(), Timestamp::EPOCH);
        for number in 0..2 * MOST_KEYS {
            let refreshing = refreshes.begin(&key(number), now).expect("leave");
            refreshing.run(std::future::pending(), move || now);
        }
        tokio::task::yield_now().await;
        assert!(refreshes.lock().states.len() <= MOST_KEYS);
        assert!(refreshes.begin(&key(2 * MOST_KEYS - 1), now).is_none(), "it runs");
        assert!(refreshes.begin(&key(0), now).is_some(), "the one that ran the longest was given up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_takes_too_long_has_failed() {
        let (refreshes, now) = (Refreshes::default(), Timestamp::EPOCH);
        refreshes.begin(&key(0), now).expect("leave").run(std::future::pending(), move || now);
        tokio::time::sleep(super::LONGEST * 2).await;
        assert!(refreshes.begin(&key(0), now).is_none(), "the pause after a failure");
        assert!(refreshes.begin(&key(0), now.plus_millis(1_000)).is_some());
    }
}
