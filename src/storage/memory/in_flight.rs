//! How many bytes of bodies that are being written are in memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of all bodies that are being written.
pub(super) struct InFlight {
    bytes: AtomicU64,
    limit: u64,
}

impl InFlight {
    pub(super) fn new(limit: u64) -> Self {
        Self { bytes: AtomicU64::new(0), limit }
    }

    /// Takes room for `more` bytes, if there is any.
    pub(super) fn reserve(&self, more: u64) -> bool {
        let add = |bytes: u64| bytes.checked_add(more).filter(|bytes| *bytes <= self.limit);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(super) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
