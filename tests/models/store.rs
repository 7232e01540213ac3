//! The room on the way to the storage, and the tasks that `flush` waits for.

#[path = "../../src/store/admission.rs"]
mod admission;
#[path = "../../src/store/tasks.rs"]
mod tasks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::future::block_on;
use shuttle::thread;
use tasks::Tasks;

pub(crate) use admission::{Admission, Room};

use crate::{at_most, below, explore};

impl Admission {
    pub(crate) fn empty() -> Self {
        Self::new()
    }

    pub(crate) fn room(&self, limit: usize) -> Room {
        self.enter(limit)
    }

    /// Whoever is alone finds any room.
    pub(crate) fn is_empty(&self) -> bool {
        self.enter(0).grow(1)
    }
}

/// A task that says when it is over.
fn begin(tasks: &Tasks) -> (Arc<AtomicBool>, thread::JoinHandle<()>) {
    let (running, over) = (tasks.begin(), Arc::new(AtomicBool::new(false)));
    let says = Arc::clone(&over);
    let task = thread::spawn(move || {
        thread::yield_now();
        says.store(true, Ordering::SeqCst);
        drop(running);
    });
    (over, task)
}

#[test]
fn waiting_for_tasks_ends_when_those_from_before_are_over() {
    explore(|| {
        let tasks = Tasks::default();
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let tasks = tasks.clone();
                thread::spawn(move || {
                    for _ in 0..=below(2) {
                        let (over, task) = begin(&tasks);
                        // One may give up waiting, as a program does that has a deadline.
                        let given_up = below(3) == 0;
                        let settled =
                            block_on(at_most(if given_up { 1 } else { usize::MAX }, tasks.settled()));
                        if settled.is_some() {
                            assert!(over.load(Ordering::SeqCst), "a task from before was not waited for");
                        }
                        if !given_up {
                            task.join().unwrap();
                        }
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        block_on(tasks.settled());
    });
}

/// Tasks that begin all the time would keep one waiting for ever.
#[test]
fn waiting_for_tasks_does_not_wait_for_later_ones() {
    explore(|| {
        let tasks = Tasks::default();
        let (over, _) = begin(&tasks);
        let mut settled = Box::pin(tasks.settled());
        let first = block_on(at_most(1, settled.as_mut()));
        // Another one waits as well, and may have to wait for the later task.
        let others = tasks.clone();
        let other = thread::spawn(move || block_on(others.settled()));
        thread::yield_now();
        let later = tasks.begin();
        if first.is_none() {
            block_on(settled);
        }
        assert!(over.load(Ordering::SeqCst));
        drop(later);
        other.join().unwrap();
    });
}

#[test]
fn a_wait_that_was_given_up_hides_no_task_from_the_next() {
    explore(|| {
        let tasks = Tasks::default();
        let (over, _) = begin(&tasks);
        let _ = block_on(at_most(1, tasks.settled()));
        block_on(tasks.settled());
        assert!(over.load(Ordering::SeqCst), "a task from before was not waited for");
    });
}
