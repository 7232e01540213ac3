//! Invalidation as a property: once a successful unsafe response has been seen, nobody who asks afterwards gets what was
//! there before it. By whatever route the unsafe request came, by whatever key the response is stored, with fills,
//! validations and refreshes under way, callers that go away, clocks that disagree, and storages that fail or hang.
//!
//! Worlds are drawn from a number, so that a failure names the one to run again:
//! `INVALIDATION_FIRST=4711 INVALIDATION_WORLDS=1 cargo test --test invalidation`. More worlds find more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../service/moody.rs"]
mod moody;
mod origin;
mod tasks;

use larder_test_support as support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::storage::{DynStorage, MemoryStorage};

use crate::moody::{Mood, Moody};
use crate::tasks::World;

/// What was seen in all worlds: a property that nothing ever puts to the test holds as well.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) reads: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) changes: AtomicU64,
    /// Reads, answered from the store or not, of what had been changed before.
    pub(crate) after_changes: AtomicU64,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// Lives through as many worlds as are asked for.
fn run(worlds: u64, paused: bool, live: &impl AsyncFn(u64, &Arc<Tally>)) {
    let (first, asked) = (number("INVALIDATION_FIRST", 0), number("INVALIDATION_WORLDS", worlds));
    let tally = Arc::new(Tally::default());
    for seed in first..first + asked {
        // Paused, timers pass as soon as nobody has anything to do: a storage that hangs costs no time. One with threads of
        // its own would be taken to hang.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(paused).build().unwrap();
        runtime.block_on(live(seed, &tally));
    }
    println!("{asked} worlds: {tally:?}");
    if asked >= worlds {
        for count in [&tally.reads, &tally.hits, &tally.changes, &tally.after_changes] {
            assert!(count.load(Ordering::Relaxed) > worlds, "{tally:?}");
        }
    }
}

#[test]
fn nothing_from_before_an_unsafe_response_comes_out_of_memory() {
    run(400, true, &async |seed, tally| {
        World::draw(seed, vec![Arc::new(MemoryStorage::new()) as Arc<dyn DynStorage>; 1], tally).live().await;
    });
}

#[test]
fn nothing_from_before_an_unsafe_response_comes_out_of_what_several_processes_share() {
    run(200, true, &async |seed, tally| {
        let storage = Arc::new(MemoryStorage::new()) as Arc<dyn DynStorage>;
        World::draw(seed, vec![storage; 3], tally).live().await;
    });
}

#[test]
fn nothing_from_before_an_unsafe_response_comes_out_of_a_storage_that_fails() {
    run(400, true, &async |seed, tally| {
        let storage = Moody::new(Mood::Fine);
        let world = World::draw(seed, vec![Arc::new(storage.clone()) as Arc<dyn DynStorage>], tally);
        world.moody(storage).live().await;
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn nothing_from_before_an_unsafe_response_comes_out_of_sqlite() {
    run(40, false, &async |seed, tally| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.db");
        let open = || Arc::new(larder::storage::SqliteStorage::open(&path).unwrap()) as Arc<dyn DynStorage>;
        World::draw(seed, vec![open(), open()], tally).live().await;
    });
}

#[cfg(feature = "filesystem")]
#[test]
fn nothing_from_before_an_unsafe_response_comes_out_of_files() {
    run(20, false, &async |seed, tally| {
        let dir = tempfile::tempdir().unwrap();
        let open =
            || Arc::new(larder::storage::FileStorage::open(dir.path()).unwrap()) as Arc<dyn DynStorage>;
        World::draw(seed, vec![open(), open()], tally).live().await;
    });
}
