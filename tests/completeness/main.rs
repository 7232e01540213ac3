//! Completeness as a property: every body that arrives without an error is a complete copy of something that the
//! origin had, whatever the origin, the connection and the client do.
//!
//! A story is a random series of requests, over a random origin (`site`): it frames every body in another way, cuts it
//! cleanly or with an error at any byte, answers ranges fully, short, long and shifted, with 200, 206, 304 and 416, and
//! its representations change. The client (`story`) asks for all and for ranges, with conditions, by HEAD, reads several
//! bodies at once and drops some. After each step it is checked what the client got and what is stored.
//!
//! `cargo test` plays some thousand steps on each storage; `LARDER_STEPS` says how many instead, for example
//! `LARDER_STEPS=5000000 cargo test --release --all-features --test completeness`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod site;
mod step;
mod story;

use larder_test_support as support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::storage::{DynStorage, MemoryStorage};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::step::Setting;
use crate::story::{Seen, Story};

/// Steps of a story, on average.
const STEPS: u64 = 10;

/// Plays so many steps, or as many as `LARDER_STEPS` says, each story in a new storage.
fn play<K>(steps: u64, open: impl Fn() -> (Arc<dyn DynStorage>, K)) {
    let steps = std::env::var("LARDER_STEPS").map_or(steps, |steps| steps.parse().expect("a number"));
    let cases = u32::try_from((steps / STEPS).max(1)).expect("fewer steps");
    // `LARDER_SEED` plays the same stories again.
    let seed =
        std::env::var("LARDER_SEED").map_or(RngSeed::Random, |seed| RngSeed::Fixed(seed.parse().unwrap()));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_seed: seed,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let totals: [AtomicU64; 4] = Default::default();
    let told = TestRunner::new(config).run(&step::setting(), |setting: Setting| {
        let (storage, kept) = open();
        let story = || runtime.block_on(Story::over(storage, &setting).play(&setting.steps));
        let Seen { steps, hits, completed, errors } =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(story))
                .map_err(|panic| TestCaseError::fail(reason(&*panic)))?;
        drop(kept);
        for (total, seen) in totals.iter().zip([steps, hits, completed, errors]) {
            total.fetch_add(seen, Ordering::Relaxed);
        }
        Ok(())
    });
    if let Err(error) = told {
        panic!("{error}");
    }
    let [steps, hits, completed, errors] = totals.map(AtomicU64::into_inner);
    println!("{steps} steps: {hits} hits, {completed} completions, {errors} broken bodies");
    // A cache that stores nothing would pass everything else.
    assert!(hits * 20 > steps, "{hits} hits in {steps} steps");
    assert!(steps < 2000 || completed > 0, "nothing was completed");
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn over_memory_every_body_is_complete_or_an_error() {
    play(8000, || (Arc::new(MemoryStorage::new()), ()));
}

#[cfg(feature = "sqlite")]
#[test]
fn over_sqlite_every_body_is_complete_or_an_error() {
    play(3000, || (Arc::new(larder::storage::SqliteStorage::in_memory().unwrap()), ()));
}

#[cfg(feature = "filesystem")]
#[test]
fn over_files_every_body_is_complete_or_an_error() {
    play(2000, || {
        let directory = tempfile::tempdir().unwrap();
        let storage = larder::storage::FileStorage::open(directory.path().join("files")).unwrap();
        (Arc::new(storage), directory)
    });
}
