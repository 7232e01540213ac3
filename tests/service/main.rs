//! The layer over a scripted origin: the exchange, its bodies, redirects, refreshes and failures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod ask_again;
mod attacks;
mod background;
mod backlog;
mod bodies;
mod chains;
mod collapse;
mod completing;
mod content;
mod exchange;
mod failures;
mod following;
mod groups;
mod invalidation;
mod limits;
mod moody;
mod no_store;
mod no_vary_search;
mod overrides;
mod partial;
mod principals;
mod purge;
mod ranges;
mod redirects;
mod spawned;
mod stack;
mod status;
mod trailers;
mod vary;

use larder_test_support as support;
