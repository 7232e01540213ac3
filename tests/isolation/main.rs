//! Isolation as a property: whatever principals, keys, cookies and redirects there are, nobody sees a response that was
//! made for another, unless its origin said that others may, or the user did.
//!
//! Worlds are drawn from a number, so that a failure names the one to run again:
//! `ISOLATION_FIRST=4711 ISOLATION_WORLDS=1 cargo test --test isolation`. More worlds find more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod client;
mod origin;
mod verdict;
mod world;

use larder_test_support as support;

use std::sync::Arc;

use larder::storage::{DynStorage, MemoryStorage};

use crate::verdict::Tally;
use crate::world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// As many worlds as are asked for, and what was seen in all of them.
fn run(storage: impl Fn() -> Arc<dyn DynStorage>, worlds: u64) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = number("ISOLATION_FIRST", 0);
    let worlds = number("ISOLATION_WORLDS", worlds);
    let mut tally = Tally::default();
    for seed in first..first + worlds {
        runtime.block_on(World::draw(seed).live(storage(), &mut tally));
    }
    println!("{worlds} worlds: {tally:?}");
    tally
}

/// A property that nothing ever puts to the test holds as well.
fn says_something(tally: &Tally, worlds: u64) {
    if number("ISOLATION_WORLDS", worlds) < worlds {
        return;
    }
    let Tally { responses, reused, of_others, by_leave, followed, partitioned, named } = *tally;
    assert!(responses > 20 * worlds, "{tally:?}");
    for count in [reused, of_others, by_leave, followed, partitioned, named] {
        assert!(count > worlds / 20, "{tally:?}");
    }
}

#[test]
fn no_user_gets_the_response_of_another_from_memory() {
    says_something(&run(|| Arc::new(MemoryStorage::new()), 400), 400);
}

#[cfg(feature = "sqlite")]
#[test]
fn no_user_gets_the_response_of_another_from_sqlite() {
    let storage = || Arc::new(larder::storage::SqliteStorage::in_memory().unwrap()) as Arc<dyn DynStorage>;
    says_something(&run(storage, 60), 60);
}
