//! Naming what is asked: keys, normalised URIs, selecting fields.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod canonical;
mod make_key;
mod no_vary_search;
mod normalize;
mod principal;
mod resolve;
mod vary;
