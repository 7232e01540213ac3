//! What several threads have in common, in thousands of orders of their steps.
//!
//! The files under test are compiled once more, from `src`, with the locks and counts of a model checker (`sync`): it
//! decides at each of them which thread goes on. A failure prints its schedule, for `shuttle::replay`. What is of tokio
//! is taken as it is; all of it happens between two such decisions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(dead_code, reason = "the files are part of another crate, which uses all of them")]

mod body;
mod key;
mod store;
mod sync;
mod underway;

use std::future::Future;
use std::sync::Arc;

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// So many orders of each kind are tried.
const ROUNDS: usize = 1_500;
/// So often a thread that may go on is held back for another, in the second kind of orders.
const DEPTH: usize = 3;

/// Runs a story in random orders, and in those that have few changes of threads.
fn explore(story: impl Fn() + Send + Sync + 'static) {
    let story = Arc::new(story);
    let mut config = Config::new();
    config.silence_warnings = true;
    let again = Arc::clone(&story);
    Runner::new(RandomScheduler::new(ROUNDS), config.clone()).run(move || again());
    Runner::new(PctScheduler::new(DEPTH, ROUNDS), config).run(move || story());
}

/// A number below `limit`, part of the order.
fn below(limit: usize) -> usize {
    thread_rng().gen_range(0..limit)
}

/// Polls a future to its end, or gives it up after some polls. A waker that was lost is a deadlock.
async fn at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (Box::pin(future), polls);
    std::future::poll_fn(|cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        if left == 0 {
            cx.waker().wake_by_ref();
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
