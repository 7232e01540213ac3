//! What README and the examples promise, of their programs as they are: compiled, run, and their output read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod faults;
mod origin;
mod program;
mod programs;
mod readme;
