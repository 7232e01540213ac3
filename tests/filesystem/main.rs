//! What files alone can suffer: crashes, damage, strangers, and other processes.
#![cfg(all(feature = "filesystem", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod basics;
mod crash;
mod damage;
mod directory;
mod json;
mod limits;
mod stopped;
mod support;
