//! Redirects: which responses are stored as aliases, how they are followed, and which URI answered.
//!
//! Each hop of a chain is a separate stored response, and RFC 9111 decides about each one. An alias only adds the key of
//! the next hop. See [`Alias`](crate::entry::Alias).
//!
//! # The order of the layers
//!
//! Follow redirects **inside** the cache ([`CacheLayer::follow_redirects`]) or **above** it, never below.
//!
//! Inside and above, the cache sees each hop and answers it from the store if it may. If a client below the cache
//! follows redirects, the cache sees a request for the first URI and the response of the last URI. It never sees the
//! response of the first URI, which may be `no-store` or depend on a cookie.
//! So if another URI [answered](AnsweredBy) than the requested one, the cache passes the response on and does not store it.
//!
//! **The cache cannot notice by itself that a client below it followed a redirect.** The response must say so:
//! by [`AnsweredBy`], which any client or adapter can set, or, with the feature `tower-http`, by the `RequestUri` of
//! tower-http's `FollowRedirect`. Some clients follow redirects by default and do not say so, for example reqwest. The
//! cache would store their last response under the first URI. Turn this off in the client, and let the layer follow.
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
