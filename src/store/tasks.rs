//! What a layer has under way beside its callers, so that a program can wait for it before it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use tokio::sync::Notify;

/// The tasks of one layer. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    none_left: Notify,
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

    /// Waits until no task is left.
    pub(super) async fn settled(&self) {
        loop {
            let none_left = self.0.none_left.notified();
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            none_left.await;
        }
    }

    fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        Running(self.clone())
    }
}

/// Without a runtime, as in a body that is dropped after its end, the task is dropped with what it holds.
pub(crate) fn spawn(task: Pin<Box<dyn Future<Output = ()> + Send>>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}

struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.none_left.notify_waiters();
        }
    }
}
