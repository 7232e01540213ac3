//! kube with a cache: the API server confirms with 304 what it serves with an `ETag`, discovery and OpenAPI.
//!
//! ```text
//! cargo run -p larder-clients --example kube
//! ```
//!
//! kube's own `ClientBuilder` is of no use here: it puts base URI and credentials below all layers that it is given,
//! where the cache cannot see them. So this is a stack for `Client::new`.

use std::error::Error;

use http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use larder::CacheLayer;
use larder::key::DefaultKey;
use larder::storage::SqliteStorage;
use tower::{BoxError, ServiceBuilder};

/// `user` tells this cluster and user from all others with the same storage: the cache sees a token, but neither a
/// client certificate nor whom the configuration impersonates.
pub(crate) fn client(config: &Config, user: &str, cache: CacheLayer) -> Result<Client, Box<dyn Error>> {
    let https = HyperClient::builder(TokioExecutor::new()).build(config.rustls_https_connector()?);
    let service = ServiceBuilder::new()
        // kube's URIs are relative, and a request without scheme and host has no key: completed above the cache.
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        // The cache sends a request again with an empty body where it must, and kube's body has no `Default`.
        .map_request(|request: Request<Body>| request.map(BodyExt::boxed_unsync))
        .layer(cache.make_key(DefaultKey::new().partition(user)))
        // The cache clones what is below. A hyper client can be cloned; below one that cannot, write `.buffer(64)`.
        .service(https);
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::infer().await?;
    let cache = CacheLayer::new(SqliteStorage::open("kube-cache.db")?);
    let client = client(&config, "admin@my-cluster", cache.clone())?;
    for _ in 0..2 {
        let groups = client.list_api_groups().await?;
        println!("{} API groups; {:?}", groups.groups.len(), cache.counts());
    }
    cache.flush().await;
    Ok(())
}
