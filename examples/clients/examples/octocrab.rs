//! octocrab with a cache: what GitHub confirms with 304 does not count against the rate limit.
//!
//! ```text
//! GITHUB_TOKEN=... cargo run -p larder-clients --example octocrab
//! ```

use std::error::Error;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder::CacheLayer;
use larder::storage::SqliteStorage;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::{AuthState, Octocrab, OctocrabBuilder};
use rustls::crypto::ring;

pub(crate) fn github(
    base: Uri,
    token: Option<String>,
    cache: &CacheLayer,
) -> Result<Octocrab, Box<dyn Error>> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(ring::default_provider())?
        .https_or_http()
        .enable_all_versions()
        .build();
    let https = Client::builder(TokioExecutor::new()).build(connector);
    let user_agent = (USER_AGENT, HeaderValue::from_static("larder-clients"));
    // octocrab adds the token above all layers, so that the cache sees whose request it is.
    let auth = token.map_or(AuthState::None, |token| AuthState::AccessToken { token: token.into() });
    let octocrab = OctocrabBuilder::new_empty()
        .with_service(https)
        // Each layer goes around those before it. The cache comes first, since it needs what the others add:
        // octocrab's URIs are relative, and a request without scheme and host has no key.
        .with_layer(cache)
        .with_layer(&BaseUriLayer::new(base))
        .with_layer(&ExtraHeadersLayer::new(Arc::new(vec![user_agent])))
        .with_auth(auth)
        .build()?;
    Ok(octocrab)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In a file, so that the next run of the program starts with what this one learned.
    let cache = CacheLayer::new(SqliteStorage::open("octocrab-cache.db")?);
    let token = std::env::var("GITHUB_TOKEN").ok();
    let github = github(Uri::from_static("https://api.github.com"), token, &cache)?;
    for _ in 0..2 {
        let licenses = github.licenses().list_commonly_used().await?;
        println!("{} licenses; {:?}", licenses.len(), cache.counts());
    }
    let limit = github.ratelimit().get().await?;
    println!("{} requests are left in this hour", limit.rate.remaining);
    cache.flush().await;
    Ok(())
}
