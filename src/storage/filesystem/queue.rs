//! The threads that write. They finish their queued jobs even if the runtime ends.
//!
//! One thread makes all changes of one key, in the order in which they were queued. The number of threads is fixed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::storage::kit::backlog::Backlog;
use crate::storage::{StorageError, StorageErrorKind};

use super::error::{Doing, error};

/// Enough for a disk to have something to do while one thread waits for a lock.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// The way to the threads. Dropping it waits until everything queued is written; so no job may hold it.
pub(super) struct Queue {
    threads: Vec<Thread>,
    pub(super) backlog: Backlog,
}

struct Thread {
    jobs: Option<Sender<Job>>,
    handle: Option<JoinHandle<()>>,
}

impl Queue {
    pub(super) fn start() -> Result<Self, StorageError> {
        let mut started = Self { threads: Vec::with_capacity(THREADS), backlog: Backlog::default() };
        for _ in 0..THREADS {
            let (queue, jobs) = channel();
            let thread =
                std::thread::Builder::new().name("larder-files".to_owned()).spawn(move || run(&jobs));
            let thread = Some(thread.doing("starting a thread")?);
            started.threads.push(Thread { jobs: Some(queue), handle: thread });
        }
        Ok(started)
    }

    /// Queues work. The answer need not be waited for.
    ///
    /// `lane` says what it has to be in order with: the fan-out directory.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        lane: u8,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Answer<T> {
        let (waiter, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody may be waiting any more.
            let _ = waiter.send(work());
        });
        if let Some(Thread { jobs: Some(queue), .. }) = self.threads.get(usize::from(lane) % THREADS) {
            // Fails only when the thread is gone, and then the answer says so.
            let _ = queue.send(job);
        }
        Answer(answer)
    }
}

/// The outcome of a job that was queued.
#[must_use = "only the outcome says whether it was done"]
pub(super) struct Answer<T>(oneshot::Receiver<Result<T, StorageError>>);

impl<T> Answer<T> {
    pub(super) async fn get(self) -> Result<T, StorageError> {
        let ended = |_| Err(error(StorageErrorKind::Unavailable, "a writing thread has ended"));
        self.0.await.unwrap_or_else(ended)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.jobs = None;
        }
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                let _ = handle.join();
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

fn run(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        // Its caller gets an error, because the sender is dropped. The next jobs are done anyway.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}
