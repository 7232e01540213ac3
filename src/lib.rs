//! An HTTP client-side response cache for [Tower](https://docs.rs/tower).
//!
//! [`CacheLayer`] wraps an HTTP client: any `tower::Service<http::Request<B>, Response = http::Response<R>>`. It answers
//! from a [`Storage`](storage::Storage) of your choice where [RFC 9111] allows it. It forwards all other requests to the
//! client below, and stores the responses while they stream to you.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! use larder::{CacheLayer, CacheStatus, storage::MemoryStorage};
//! use larder::status::{Fwd, Outcome};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let origin = service_fn(|_: Request<String>| async {
//!     Response::builder().header("cache-control", "max-age=60").body(Full::new(Bytes::from("hello")))
//! });
//! let client = ServiceBuilder::new().layer(CacheLayer::new(MemoryStorage::new())).service(origin);
//!
//! for expected in [Outcome::Forwarded(Fwd::UriMiss), Outcome::Hit] {
//!     let response = client.clone().oneshot(Request::get("https://example.com/").body(String::new())?).await?;
//!     let outcome = response.extensions().get::<CacheStatus>().map(|status| status.outcome);
//!     assert_eq!(outcome, Some(expected));
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With `SqliteStorage::open("cache.db")?` in place of `MemoryStorage::new()`, the second run of the program starts with
//! a hit. [`storage::open`] opens any storage by its URL, and [`CacheLayer::new`] takes what it returns. [`storage`] lists
//! the storages. The page of each one says when to choose it.
//!
//! # One request on its way
//!
//! The modules of the crate follow the path of a request. `service/exchange.rs` calls all steps in order.
//!
//! | step | where | the clause |
//! |---|---|---|
//! | 1. What is asked: the request's directives, and the [`CacheOverride`] in its extensions | [`overrides`] | [5.2.1] |
//! | 2. Name it | [`key`] | [2] |
//! | 3. Look it up, responses and redirects in one trip | [`storage`] | |
//! | 4. Decide whether a stored response may answer | [`policy::engine::reuse`](policy::engine::reuse()) | [4] |
//! | 5a. Serve it, | [`body`] from [`entry`] | [4.2.3] |
//! | 5b. or validate it: send the origin a conditional request, and freshen the stored response after a 304, | [`policy::engine::validated`](policy::engine::validated()) | [4.3] |
//! | 5c. or forward the request; requests that ask the same at the same time are collapsed | the client below | [4] |
//! | 6. Decide whether the response may be stored | [`policy::engine::storable`](policy::engine::storable()) | [3] |
//! | 7. Store it while it streams to the caller | [`body`] to [`storage`] | |
//! | 8. Invalidate what an unsafe request has changed | [`policy::engine::invalidated`] | [4.4] |
//! | 9. Say what happened | [`status`] | [RFC 9211] |
//!
//! Pure functions of header fields and times decide steps 1, 2, 4, 6, 8 and 9. All times come from [`clock`].
//! A [`Policy`] describes a [private](Policy::private) cache, for one user, or a [shared](Policy::shared) one.
//! Beside RFC 9111 it implements [RFC 5861] (stale responses while validating and after errors), [RFC 8246] (`immutable`),
//! [RFC 9213] (targeted fields) and [RFC 9875] (groups).
//!
//! A redirect is a stored response with an alias to the next one. RFC 9111 decides about every hop of a chain
//! separately, and the response at the end is stored once: see [`redirect`].
//!
//! # What to expect
//!
//! - The first byte of a response never waits for the store. The cache holds a few chunks of a body over 64 KiB in
//!   memory, never all of it. It publishes a response when its body has been read to its end. If you drop a body
//!   before its end, the cache reads at most 64 KiB of the rest in the background. If more are left, it does not store
//!   the response.
//! - A hit returns the whole body, byte for byte, or ends with an error. The cache never stores a body as complete that
//!   was cut off, or that is shorter or longer than announced.
//! - A failing store is a miss. You see the failure in [`CacheStatus::detail`], in [`CacheLayer::counts`] and, with the feature
//!   `tracing`, in the log. Errors of the client below pass unchanged. The cache adds only one
//!   error of its own: a [`BodyError`] if a stored body ends too early.
//! - A removal also covers responses that are under way at that time: they are not stored.
//! - An unsafe request that succeeds invalidates everything that is stored for its target URI, under all keys, and its
//!   response waits for that. Stores count invalidations: no clock decides one. The layer respects an invalidation that
//!   a failing store did not accept, and tries it again; it is lost if the process ends before.
//!
//! # What it does not do
//!
//! - It makes no connections. It follows redirects only with [`CacheLayer::follow_redirects`]. If a client below it
//!   follows redirects, the cache cannot see that, and would store the last response under the first URI. Turn this off
//!   in the client, or see [`redirect`].
//! - It does not decompress. Bodies are stored as the client below returns them.
//! - It does not run maintenance by itself. A store with a limit makes room when it needs it, and a server with a TTL
//!   deletes by itself. Otherwise call [`maintain`](storage::Storage::maintain) from time to time.
//! - It does not encrypt. Everybody who can read the store can read the responses and the URIs, queries included.
//!   Request fields are stored only where `Vary` names them. Secret ones, credentials and partitions are stored only as
//!   hashes, keyed with [`Policy::secret`], which is empty unless set.
//! - It does not see what the layers below add to a request. For credentials see
//!   [`CacheLayer`](CacheLayer#whose-responses).
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `sqlite` | `SqliteStorage`, the default |
//! | `filesystem` | `FileStorage` |
//! | `redis` | `RedisStorage` |
//! | `mongodb`, `gridfs` | `MongoStorage`, `GridFsStorage` |
//! | `dynamodb` | `DynamoStorage` |
//! | `tower-http` | reads the final URI of tower-http's `FollowRedirect` below the cache: see [`redirect`] |
//! | `conformance` | the conformance suite for a [`Storage`](storage::Storage) of your own |
//! | `tracing` | events for failures of a store |
//!
//! [RFC 9111]: https://www.rfc-editor.org/rfc/rfc9111
//! [RFC 9211]: https://www.rfc-editor.org/rfc/rfc9211
//! [RFC 5861]: https://www.rfc-editor.org/rfc/rfc5861
//! [RFC 8246]: https://www.rfc-editor.org/rfc/rfc8246
//! [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
//! [RFC 9875]: https://www.rfc-editor.org/rfc/rfc9875
//! [5.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1
//! [2]: https://www.rfc-editor.org/rfc/rfc9111#section-2
//! [4]: https://www.rfc-editor.org/rfc/rfc9111#section-4
//! [4.2.3]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3
//! [4.3]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3
//! [3]: https://www.rfc-editor.org/rfc/rfc9111#section-3
//! [4.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.4

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body;
pub mod clock;
mod config;
pub mod entry;
pub mod error;
pub mod key;
mod layer;
pub mod overrides;
pub mod policy;
mod random;
pub mod redirect;
pub mod service;
pub mod status;
pub mod storage;
mod store;
mod sync;
mod underway;

pub use body::{CacheBody, KeyedBody};
pub use error::BodyError;
pub use layer::{CacheLayer, FollowLayer, KeyContentLayer};
pub use overrides::{CacheMode, CacheOverride};
pub use policy::Policy;
pub use service::Cache;
pub use status::CacheStatus;
pub use store::Counts;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
