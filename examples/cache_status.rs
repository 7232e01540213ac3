//! Three ways to learn what the cache did: per response as a value, per response as a field, and in sum.
//!
//! ```text
//! cargo run --example cache_status
//! ```

#[path = "support/origin.rs"]
mod origin;

use std::error::Error;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder::status::Outcome;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheStatus};
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let origin = origin::start().await?;
    let cache = CacheLayer::new(MemoryStorage::new()).cache_status_header(true);
    let client = cache.layer(Client::builder(TokioExecutor::new()).build_http());

    let ask = async |path: &str| -> Result<(), Box<dyn Error + Send + Sync>> {
        let request = Request::get(format!("http://{origin}{path}")).body(Empty::<Bytes>::new())?;
        let response = client.clone().oneshot(request).await?;

        // A value to decide by, on every response ...
        let what = match response.extensions().get::<CacheStatus>() {
            Some(status) if status.collapsed == Some(true) => "brought by another request".to_owned(),
            Some(status) => match status.outcome {
                Outcome::Hit => "from the cache".to_owned(),
                Outcome::Forwarded(why) => format!("from the origin ({why:?})"),
                _ => "of the cache's own".to_owned(),
            },
            None => "not through the cache".to_owned(),
        };
        // ... and, because the layer was asked to, the field of RFC 9211 for whoever stands downstream.
        let field = response.headers().get("cache-status").and_then(|value| value.to_str().ok());
        println!("{path:<12} {what:<26} {}", field.unwrap_or_default());

        response.into_body().collect().await?;
        Ok(())
    };
    for path in ["/fresh", "/fresh", "/validate", "/validate", "/secret", "/secret"] {
        ask(path).await?;
    }
    // Of two that ask the same at the same time, one goes to the origin.
    tokio::try_join!(ask("/fresh?both"), ask("/fresh?both"))?;

    // The layer itself counts.
    println!("{:#?}", cache.counts());
    Ok(())
}
