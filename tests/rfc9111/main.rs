//! RFC 9111 clause by clause, as tables over the pure policy with a hand-driven clock: the behaviours that the
//! public cache test suite looks at, one module per group.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(unreachable_pub, reason = "the model is shared with another test binary")]

mod age;
mod authorization;
mod cache_control;
mod combining;
mod conditional;
mod expires;
mod fields;
mod freshness;
mod heuristics;
mod invalidation;
mod methods;
mod model;
mod partial;
mod request_directives;
mod response_directives;
mod stale;
mod statuses;
mod targeted;
mod update_304;
mod update_head;
mod vary;
