//! The background tasks of a layer. A program can wait for them before it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::{Mutex, Notify};

use crate::sync::{AtomicUsize, Ordering};

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

impl Shared {
    /// Number of tasks that began in epochs of the same parity.
    fn running(&self, epoch: usize) -> &AtomicUsize {
        let [even, odd] = &self.running;
        if epoch.is_multiple_of(2) { even } else { odd }
    }

    async fn none_running(&self, epoch: usize) {
        loop {
            let none_left = self.none_left.notified();
            if self.running(epoch).load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }
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
        let _waiting = self.0.waiting.lock().await;
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        // Tasks of the epoch before, if a wait was given up. The next epoch has their parity and must not begin over them.
        self.0.none_running(epoch.wrapping_add(1)).await;
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.none_running(epoch).await;
    }

    /// Announces a task that is run elsewhere; over when this is dropped.
    pub(super) fn begin(&self) -> Running {
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        self.0.running(epoch).fetch_add(1, Ordering::SeqCst);
        // If the next epoch has begun meanwhile, this counts for the epoch before, which is waited for as well.
        Running { tasks: self.clone(), epoch }
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
    epoch: usize,
}

impl Drop for Running {
    fn drop(&mut self) {
        let tasks = &self.tasks.0;
        if tasks.running(self.epoch).fetch_sub(1, Ordering::SeqCst) == 1 {
            tasks.none_left.notify_waiters();
        }
    }
}
