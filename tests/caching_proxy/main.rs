//! The caching proxy of the examples over real sockets: what reaches the client, byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../../examples/support/chain.rs"]
mod chain;
mod disconnected;
#[path = "../../examples/caching_proxy/forward.rs"]
mod forward;
#[path = "../../examples/caching_proxy/informational.rs"]
mod informational;
mod interim;
#[path = "../../examples/caching_proxy/options.rs"]
mod options;
#[path = "../../examples/caching_proxy/proxy.rs"]
mod proxy;
mod sockets;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
