//! Each example, asked as its users would, against a server on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod axum_users;
mod hyper_https;
mod kube;
mod octocrab;
mod origin;
mod page;
mod stack;
mod tonic;
