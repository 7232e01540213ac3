//! [larder](https://docs.rs/larder), the HTTP cache for Tower, for [reqwest](https://docs.rs/reqwest).
//!
//! [`CachedClient`] has the methods of [`reqwest::Client`], takes reqwest's requests and gives reqwest's responses. What
//! RFC 9111 lets a private cache answer comes from a storage; the rest comes from the client below and is stored while you
//! read it.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use larder_reqwest::{CachedClient, cache_status, storage::SqliteStorage};
//!
//! let client = CachedClient::new(SqliteStorage::open("cache.db")?)?;
//! let response = client.get("https://www.rust-lang.org/").send().await?;
//! println!("{:?}", cache_status(&response).map(ToString::to_string));
//! let text = response.text().await?; // What is stored is a body that was read to its end.
//! # drop(text);
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! [`CachedClient::builder`] takes a [`CacheLayer`](larder::CacheLayer) with the policy, the key and the storage of your
//! choice, and builds over a [`reqwest::ClientBuilder`] with the proxies, certificates and timeouts of your choice.
//!
//! # What is different from a plain client
//!
//! - **Redirects** are followed by the cache, each hop answered from the storage where it may
//!   ([`redirects`](CachedClientBuilder::redirects), 10 unless set). The client below must not follow: a client that does
//!   is refused. At the limit, and in a loop, the response is the redirect itself, not an error.
//! - **Default headers** are set [on the builder](CachedClientBuilder::default_headers), so that the cache sees them: it
//!   keeps what it stores for one `Authorization` from another, and selects by `Vary`. A client with credentials in
//!   default headers of its own, or with a cookie store, is refused: the cache below would not know whose response it stores.
//! - **Compression** is undone above the cache (features `gzip`, `brotli`, `zstd`, `deflate`), so that stored bytes, ranges
//!   and validators belong together. The client below has no decompression.
//! - **Timeouts** of requests and of the client hold for whatever goes to the origin, on each hop.
//! - [`Response::url`](reqwest::Response::url) is the URL that answered, after all redirects.
//! - Retries of reqwest, and what else the client below does, happen below the cache.
//!
//! # Why a crate of its own
//!
//! reqwest's types are in its interface, so a new major version of reqwest is a new major version of this crate, and not
//! one of larder.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod builder;
mod client;
mod error;
#[cfg(feature = "middleware")]
mod middleware;
mod origin;
mod refused;
mod request;

pub use builder::CachedClientBuilder;
pub use client::{CachedClient, cache_status};
pub use error::BuildError;
pub use larder::{CacheLayer, CacheMode, CacheOverride, CacheStatus, Policy, key, storage};
pub use request::RequestBuilder;
pub use reqwest;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
