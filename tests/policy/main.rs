//! The policy beyond the tables of `tests/rfc9111`: settings, overrides, groups, and what must hold for any input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(dead_code, unreachable_pub, reason = "the model is shared with another test binary")]

mod groups;
mod growth;
#[path = "../rfc9111/model.rs"]
mod model;
mod overrides;
mod properties;
mod settings;
