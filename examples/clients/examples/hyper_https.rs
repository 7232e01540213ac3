//! hyper with https and a cache.
//!
//! ```text
//! cargo run -p larder-clients --example hyper_https -- https://www.rust-lang.org/
//! ```

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use larder::storage::{IntoStorage, SqliteStorage};
use larder::{Cache, CacheLayer, CacheStatus};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tower::{Layer, ServiceExt};

type Https = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Trusts these authorities, speaks HTTP/1 and HTTP/2, and keeps responses in `storage`.
pub(crate) fn client(roots: RootCertStore, storage: impl IntoStorage) -> Result<Cache<Https>, rustls::Error> {
    // The provider is named, so that the program works whatever its other dependencies have installed.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().build();
    let https = Client::builder(TokioExecutor::new()).build(connector);
    Ok(CacheLayer::new(storage).layer(https))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or("https://www.rust-lang.org/".into());
    // Mozilla's list of authorities, compiled in. `rustls-native-certs` has those of the operating system.
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let client = client(roots, SqliteStorage::in_memory()?)?;
    for _ in 0..2 {
        let request = Request::get(&url).body(Empty::new())?;
        let response = client.clone().oneshot(request).await?;
        let status = response.extensions().get::<CacheStatus>().map(ToString::to_string);
        // Read to its end, the body is stored.
        let body = response.into_body().collect().await?.to_bytes();
        println!("{} bytes, {}", body.len(), status.unwrap_or_default());
    }
    Ok(())
}
