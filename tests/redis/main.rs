//! What can go wrong between a cache and a Redis server.
#![cfg(feature = "redis")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod cluster;
mod data;
#[path = "../support/layered.rs"]
mod layered;
mod lookups;
mod opening;
mod outage;
mod planted;
mod sentinel;
mod server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/wire.rs"]
mod wire;
