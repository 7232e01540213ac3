//! How much may wait for the storage. It is bounded in bytes and served in order.
//!
//! A response without room is given up at once. So a storage that is slower than the network costs neither memory nor
//! time. Only a limited number of responses are in the storage at a time, and its deadlines begin when a response gets there, not
//! while it waits for its turn.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sync::{AtomicUsize, Ordering};

/// How many complete responses are in the storage at a time. Enough to be written together in one transaction.
const AT_A_TIME: usize = 64;
/// About how many bytes a response needs in addition to its body.
const RESPONSE: usize = 4096;

/// The room for what one layer has in memory on its way to the storage. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    bytes: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
}

impl Admission {
    pub(super) fn new() -> Self {
        Self { bytes: Arc::default(), turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Room that is taken step by step, up to `limit` bytes in total. The first step is for the response without its
    /// body.
    pub(super) fn enter(&self, limit: usize) -> Room {
        self.bytes.fetch_add(RESPONSE, Ordering::AcqRel);
        Room { bytes: Arc::clone(&self.bytes), limit, taken: RESPONSE }
    }

    /// Waits for a turn, in the order of asking.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }
}

/// The bytes that one response takes; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: Arc<AtomicUsize>,
    limit: usize,
    taken: usize,
}

impl Room {
    /// Takes room for this many more bytes, if there is any. A response that is alone always finds room: a frame that is
    /// longer than the limit is in memory anyway.
    #[must_use]
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        let before = self.bytes.fetch_add(by, Ordering::AcqRel);
        if before > self.taken && before.saturating_add(by) > self.limit {
            self.bytes.fetch_sub(by, Ordering::AcqRel);
            return false;
        }
        self.taken += by;
        true
    }

    /// Gives back all but this many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let back = self.taken.saturating_sub(bytes);
        self.bytes.fetch_sub(back, Ordering::AcqRel);
        self.taken -= back;
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.taken, Ordering::AcqRel);
    }
}
