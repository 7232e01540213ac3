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
mod lookups;
mod opening;
mod outage;
mod planted;
mod sentinel;
mod server;

use larder_test_support as support;
use larder_test_support::{layered, wire};
