//! What holds for the SQLite storage beyond the contract of every storage.

#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod basics;
mod crash;
mod damage;
mod limits;
mod opening;
mod sharing;
mod support;
