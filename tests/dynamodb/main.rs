//! DynamoDB beyond the contract: opening, faults on the way, what stands in the table, outages, large bodies.
#![cfg(all(feature = "dynamodb", feature = "conformance"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod faults;
mod opening;
mod outage;
mod planted;
mod proxy;
mod samples;
#[path = "../support/dynamodb.rs"]
mod server;
mod table;

use larder_test_support::{layered, wire};
