//! What one request wants of the cache goes into its extensions, and never to the origin.
//!
//! ```text
//! cargo run --example per_request
//! ```

#[path = "support/origin.rs"]
mod origin;

use std::error::Error;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride, CacheStatus};
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let origin = origin::start().await?;
    let client =
        CacheLayer::new(MemoryStorage::new()).layer(Client::builder(TokioExecutor::new()).build_http());

    for (wish, name) in [
        (CacheOverride::only_if_cached(), "only if cached"), // nothing is stored yet: 504, the origin is not asked
        (CacheOverride::new(), "by the rules"),              // a miss, stored
        (CacheOverride::new(), "by the rules"),              // a hit
        (CacheOverride::bypass(), "bypass"),                 // as if there were no cache
        (CacheOverride::revalidate(), "revalidate"), // asks the origin, although what is stored is fresh
        (CacheOverride::reload(), "reload"),         // fetches and stores anew
        (CacheOverride::only_if_cached(), "only if cached"), // now there is something
    ] {
        let request =
            Request::get(format!("http://{origin}/fresh")).extension(wish).body(Empty::<Bytes>::new())?;
        let response = client.clone().oneshot(request).await?;
        let said = response.extensions().get::<CacheStatus>().map(ToString::to_string).unwrap_or_default();
        println!("{name:<14} {}  {said}", response.status().as_u16());
        // A response is stored when its body has been read to the end.
        response.into_body().collect().await?;
    }
    Ok(())
}
