//! The binary form of stored heads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod codec;
mod damage;
mod heads;
mod ids;
mod shown;
