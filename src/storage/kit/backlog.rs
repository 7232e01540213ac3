//! What a storage with its own threads has accepted and not yet written. It is bounded in bytes.
//!
//! A body is accepted without waiting while little of it is queued, so that a program that has read a response to its
//! end can return from `main`: all of it is queued by then, and the threads are joined when the storage is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// More of one body is accepted only once some of it is written.
const OF_ONE: usize = 1 << 20;
/// The same for all bodies of one storage together, but none has to wait that has nothing queued itself.
const OF_ALL: usize = 32 << 20;

/// The bytes that are queued in one storage. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct Backlog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    written: Notify,
}

impl Backlog {
    pub(in crate::storage) fn body(&self) -> Queued {
        Queued { all: Arc::clone(&self.0), own: Arc::default() }
    }
}

/// The bytes of one body that are queued.
#[derive(Debug)]
pub(in crate::storage) struct Queued {
    all: Arc<Shared>,
    own: Arc<AtomicUsize>,
}

impl Queued {
    /// Waits until more of this body is accepted.
    pub(in crate::storage) async fn room(&self) {
        while !self.has_room() {
            let written = self.all.written.notified();
            // Between the look above and the line before this one, the last of it can have been written.
            if self.has_room() {
                return;
            }
            written.await;
        }
    }

    /// Counts bytes as queued until the ticket is dropped, which is when they are written.
    pub(in crate::storage) fn add(&self, bytes: usize) -> Ticket {
        self.own.fetch_add(bytes, Ordering::AcqRel);
        self.all.bytes.fetch_add(bytes, Ordering::AcqRel);
        Ticket { all: Arc::clone(&self.all), own: Arc::clone(&self.own), bytes }
    }

    fn has_room(&self) -> bool {
        let own = self.own.load(Ordering::Acquire);
        own == 0 || (own < OF_ONE && self.all.bytes.load(Ordering::Acquire) < OF_ALL)
    }
}

/// Bytes in the queue.
#[derive(Debug)]
pub(in crate::storage) struct Ticket {
    all: Arc<Shared>,
    own: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.own.fetch_sub(self.bytes, Ordering::AcqRel);
        self.all.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.all.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{Backlog, OF_ALL, OF_ONE};

    #[test]
    fn a_body_waits_once_its_own_limit_is_queued() {
        let body = Backlog::default().body();
        assert!(body.room().now_or_never().is_some());
        let below = body.add(OF_ONE - 1);
        assert!(body.room().now_or_never().is_some());
        let one_more = body.add(1);
        assert!(body.room().now_or_never().is_none());
        drop(one_more);
        assert!(body.room().now_or_never().is_some());
        drop(below);
    }

    #[test]
    fn all_together_wait_but_those_that_have_nothing_queued() {
        let backlog = Backlog::default();
        let (mut bodies, mut tickets) = (Vec::new(), Vec::new());
        for _ in 0..OF_ALL / OF_ONE {
            let body = backlog.body();
            tickets.push(body.add(OF_ONE));
            bodies.push(body);
        }
        let late = backlog.body();
        assert!(late.room().now_or_never().is_some());
        let ticket = late.add(1);
        assert!(late.room().now_or_never().is_none());
        tickets.pop();
        assert!(late.room().now_or_never().is_some());
        drop(ticket);
    }

    #[tokio::test]
    async fn a_waiting_writer_is_woken() {
        let body = Backlog::default().body();
        let ticket = body.add(OF_ONE);
        let room = body.room();
        tokio::pin!(room);
        assert!(room.as_mut().now_or_never().is_none());
        drop(ticket);
        room.await;
    }
}
