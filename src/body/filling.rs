//! Storing a body while it passes, chunk by chunk.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use sync_wrapper::SyncWrapper;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::pipe::{Inlet, NotPushed};
use super::retraction::Retraction;
use crate::entry::BodyEnd;
use crate::key::CacheKey;
use crate::store::{Store, spawn};
use crate::underway::Mark;

/// The last message to the storing task: it has all of the body.
pub(super) struct Complete {
    pub(super) end: BodyEnd,
    pub(super) mark: Mark,
}

/// The work of storing a body that comes through the pipe.
///
/// It begins in the caller's task. A storage that never waits, like memory, or that only queues its work, needs no other
/// task. When the work has to wait for the storage for the first time, it moves into a task of its own. So the storage's
/// deadlines do not run while the caller is busy elsewhere.
struct Writing {
    work: Work,
    is_ended: oneshot::Receiver<()>,
}

enum Work {
    Here(SyncWrapper<Pin<Box<dyn Future<Output = ()> + Send>>>),
    Elsewhere,
    /// The response is stored, or the storage failed.
    Over,
}

impl Writing {
    fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let (ended, is_ended) = oneshot::channel::<()>();
        let work = Box::pin(async move {
            work.await;
            drop(ended);
        });
        Self { work: Work::Here(SyncWrapper::new(work)), is_ended }
    }

    /// Works on what is in the pipe, unless another task does. `waits`: whether it only waits for more.
    fn work(&mut self, cx: &mut Context<'_>, waits: impl Fn() -> bool) {
        let Work::Here(work) = &mut self.work else { return };
        if work.get_mut().as_mut().poll(cx).is_ready() {
            self.work = Work::Over;
        } else if !waits() && Handle::try_current().is_ok() {
            self.leave();
        }
    }

    /// Goes on in a task of its own.
    fn leave(&mut self) {
        if let Work::Here(work) = std::mem::replace(&mut self.work, Work::Elsewhere) {
            spawn(work.into_inner());
        }
    }

    /// Goes on in a task of its own, which `flush` waits for.
    fn finish(mut self, store: &Store) {
        match std::mem::replace(&mut self.work, Work::Over) {
            Work::Here(work) => store.run_or_spawn(work.into_inner()),
            Work::Elsewhere => store.run_or_spawn(async move {
                let _ = self.is_ended.await;
            }),
            Work::Over => {}
        }
    }
}

/// A body that is being stored chunk by chunk. When dropped before it is complete, nothing of it is published.
pub(super) struct Filling {
    store: Store,
    key: CacheKey,
    inlet: Inlet<Complete>,
    retraction: Retraction,
    writing: Writing,
}

impl Filling {
    /// `work` stores under `key` what comes out of the pipe.
    pub(super) fn new(
        (store, key): (Store, CacheKey),
        inlet: Inlet<Complete>,
        retraction: Retraction,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { store, key, inlet, retraction, writing: Writing::new(work) }
    }

    pub(super) fn push(&self, data: bytes::Bytes) -> Result<(), NotPushed> {
        self.inlet.push(data)
    }

    /// Works on what has been handed over. The caller's task is woken when more can be done.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        self.writing.work(cx, || self.inlet.is_waited_for());
    }

    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.inlet.poll_room(cx)
    }

    pub(super) fn complete(self, end: BodyEnd) -> (Retraction, Completing) {
        let Self { store, key, inlet, writing, retraction } = self;
        let mark = store.mark(&key);
        inlet.complete(Complete { end, mark });
        (retraction, Completing { store, inlet, writing: Some(writing) })
    }

    /// Takes back what has been written.
    pub(super) fn abort(self) {
        let Self { store, inlet, writing, .. } = self;
        // A storage that failed has been counted.
        if inlet.give_up() {
            store.not_filled();
        }
        drop(inlet);
        writing.finish(&store);
    }
}

/// A body that is complete, and not yet all in the hands of the storage. When dropped, the rest is done in a task.
pub(super) struct Completing {
    store: Store,
    inlet: Inlet<Complete>,
    writing: Option<Writing>,
}

impl Completing {
    /// Ready when the storage was asked to publish the response, or has failed. A storage with a thread of its own has
    /// all of it in its queue then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(writing) = &mut self.writing {
            writing.work(cx, || false);
        }
        self.inlet.poll_closed(cx)
    }
}

impl Drop for Completing {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            writing.finish(&self.store);
        }
    }
}
