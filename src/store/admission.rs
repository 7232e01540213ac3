//! How much may wait for the storage: bounded in bytes, and served in order.
//!
//! What finds no room is given up at once, so that a storage that is slower than the network costs neither memory nor
//! time. Only a limited number of responses are in the storage at a time, and its deadlines begin when a response gets there, not
//! while it waits for its turn.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sync::{AtomicUsize, Ordering};

/// How many complete responses are in the storage at a time. Enough to be written together in one transaction.
const AT_A_TIME: usize = 64;
/// About what a response takes beside its body.
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

    /// Room to be taken bit by bit, up to `limit` bytes for all together; the first bit is for the response without its
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
    /// Takes room for as much again, or none where there is none. Who is alone always finds room: a frame that is longer
    /// than the limit is in memory anyway.
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
