//! One suite on every storage.
#![cfg(feature = "conformance")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod copy;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod end_to_end;
#[cfg(all(feature = "filesystem", unix))]
mod filesystem;
mod key_value;
mod leaving;
mod limits;
mod memory;
#[cfg(feature = "gridfs")]
mod mongo;
mod open;
#[cfg(feature = "redis")]
mod redis;
mod secrets;
#[cfg(feature = "sqlite")]
mod sqlite;

use larder_test_support as support;
