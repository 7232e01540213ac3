//! What a layer has under way beside its callers, so that a program can wait for it before it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use tokio::sync::{Mutex, Notify};

/// The tasks of one layer. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Shared>);

/// Tasks are counted by the parity of the epoch they began in, so that waiting for those of before does not wait for
/// those of after.
#[derive(Debug, Default)]
struct Shared {
    epoch: AtomicUsize,
    running: [AtomicUsize; 2],
    none_left: Notify,
    /// One waits at a time: with a third epoch the parity would not tell any more.
    waiting: Mutex<()>,
}

impl Tasks {
    /// Runs a task to its end where it is, when it never has to wait (memory), and beside the caller otherwise.
    ///
    /// It is polled once in any case, so that a storage with a thread of its own has all of it in its queue when this
    /// returns: the runtime may end before the task is polled again.
    pub(super) fn run_or_spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.begin();
        let mut task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            task.await;
            drop(running);
        });
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            spawn(task);
        }
    }

    /// Waits until no task is left that has begun before.
    pub(super) async fn settled(&self) {
        let Shared { epoch, running, none_left, waiting } = &*self.0;
        let _waiting = waiting.lock().await;
        let before = epoch.fetch_add(1, Ordering::SeqCst) % 2;
        let Some(running) = running.get(before) else { return };
        loop {
            let none_left = none_left.notified();
            if running.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }

    /// Announces a task that is run elsewhere; over when this is dropped.
    pub(super) fn begin(&self) -> Running {
        loop {
            let epoch = self.0.epoch.load(Ordering::SeqCst);
            let running = Running { tasks: self.clone(), parity: epoch % 2 };
            running.count().fetch_add(1, Ordering::SeqCst);
            // Nobody has begun to wait meanwhile, who would have overlooked it.
            if self.0.epoch.load(Ordering::SeqCst) == epoch {
                return running;
            }
        }
    }
}

/// Without a runtime, as in a body that is dropped after its end, the task is dropped with what it holds.
pub(crate) fn spawn(task: Pin<Box<dyn Future<Output = ()> + Send>>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}

/// A task under way.
#[derive(Debug)]
pub(crate) struct Running {
    tasks: Tasks,
    parity: usize,
}

impl Running {
    fn count(&self) -> &AtomicUsize {
        let [even, odd] = &self.tasks.0.running;
        if self.parity == 0 { even } else { odd }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.count().fetch_sub(1, Ordering::SeqCst) == 1 {
            self.tasks.0.none_left.notify_waiters();
        }
    }
}
