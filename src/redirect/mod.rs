//! Redirects: which responses are stored as aliases, how they are followed, and who answered in the end.
//!
//! Each hop of a chain is a stored response of its own, judged by RFC 9111 on its own; an alias only adds the key of
//! the next one. See [`Alias`](crate::entry::Alias).
//!
//! # The order of the layers
//!
//! Redirects are followed **inside** the cache ([`CacheLayer::follow_redirects`]) or **above** it, never below.
//!
//! Above and inside, the cache sees each hop and answers it from the store where it may. Below, it sees one request
//! and one response that belong to different URIs: the response of the last hop, under the lifetime of the last hop,
//! in answer to a URI whose own answer (a `no-store`, a cookie that decides where the redirect leads) it never saw.
//! So a response that was [answered by](AnsweredBy) another URI than the one asked for is passed on and not stored.
//!
//! **The cache cannot see by itself that something below it followed a redirect.** It knows if the response says so:
//! by [`AnsweredBy`], which any client or adapter can set, or, with the feature `tower-http`, by the `RequestUri` of
//! tower-http's `FollowRedirect`. A client that follows redirects by itself, as reqwest does unless told otherwise,
//! and does not say so has its last hop stored as the answer of the first. Turn that off, and have the layer follow.
//!
//! ```
//! use larder::CacheLayer;
//! use larder::redirect::RedirectHistory;
//! use larder::storage::MemoryStorage;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ServiceBuilder::new()
//!     .layer(CacheLayer::new(MemoryStorage::new()).follow_redirects(10))
//!     .service_fn(|request: http::Request<String>| async move {
//!         let response = http::Response::builder().header("cache-control", "max-age=60");
//!         match request.uri().path() {
//!             "/old" => response.status(301).header("location", "/new").body(String::new()),
//!             _ => response.body(String::from("moved in")),
//!         }
//!     });
//! let response = client.oneshot(http::Request::get("https://example.com/old").body(String::new())?).await?;
//! let history: &RedirectHistory = response.extensions().get().ok_or("no history")?;
//! assert_eq!(history.hops().len(), 1);
//! assert_eq!(history.hops()[0].uri, "https://example.com/old");
//! # Ok(())
//! # }
//! ```
//!
//! [`CacheLayer::follow_redirects`]: crate::CacheLayer::follow_redirects

mod answered;
mod crossing;
mod history;
mod next;
mod target;

pub use answered::AnsweredBy;
pub(crate) use answered::{answered_by, answered_elsewhere};
pub(crate) use crossing::Crossing;
pub use history::{Hop, RedirectHistory};
pub(crate) use next::next;
pub(crate) use target::{is_redirect, target};
