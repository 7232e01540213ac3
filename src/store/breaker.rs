//! A circuit breaker: no calls to a storage for a while after it failed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::storage::StorageErrorKind;

/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A circuit breaker: closed while the storage answers, open for a pause after a failure, and then half open: one
/// request tries, the others go on without.
#[derive(Debug)]
pub(crate) struct Breaker {
    since: Instant,
    /// Milliseconds after `since` until which no request tries; 0 while the storage answers.
    open_until: AtomicU64,
    failures: AtomicU32,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), open_until: AtomicU64::new(0), failures: AtomicU32::new(0) }
    }

    /// Whether the storage may be called now.
    pub(crate) fn allows(&self) -> bool {
        let until = self.open_until.load(Ordering::Acquire);
        if until == 0 {
            return true;
        }
        let now = self.now();
        // The request that moves the mark is the one that tries.
        now >= until
            && self
                .open_until
                .compare_exchange(until, now + self.pause(), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// The storage answered.
    pub(crate) fn succeeded(&self) {
        if self.open_until.load(Ordering::Acquire) != 0 {
            self.failures.store(0, Ordering::Release);
            self.open_until.store(0, Ordering::Release);
        }
    }

    /// The storage failed in this way. Only what will probably fail again at once opens the breaker.
    pub(crate) fn failed(&self, kind: StorageErrorKind) {
        let lasting = matches!(
            kind,
            StorageErrorKind::Unavailable
                | StorageErrorKind::Timeout
                | StorageErrorKind::Full
                | StorageErrorKind::ReadOnly
                | StorageErrorKind::Denied
                | StorageErrorKind::Incompatible
        );
        if lasting {
            let pause = self.pause();
            self.failures.fetch_add(1, Ordering::AcqRel);
            self.open_until.store(self.now() + pause, Ordering::Release);
        }
    }

    /// The pause that a failure now would cost, in milliseconds.
    fn pause(&self) -> u64 {
        let failures = self.failures.load(Ordering::Acquire);
        let pause = clock::back_off(FIRST_PAUSE, failures, LONGEST_PAUSE);
        u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
