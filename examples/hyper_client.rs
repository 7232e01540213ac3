//! A hyper client with a cache: the smallest useful program.
//!
//! ```text
//! cargo run --example hyper_client
//! ```
//!
//! Keep the storage in a file (`SqliteStorage::open("cache.db")?`) and the second run of your program starts warm.

#[path = "support/origin.rs"]
mod origin;

use std::error::Error;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder::storage::SqliteStorage;
use larder::{CacheLayer, CacheStatus};
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let origin = origin::start().await?;

    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = CacheLayer::new(SqliteStorage::in_memory()?).layer(client);

    for _ in 0..2 {
        let request = Request::get(format!("http://{origin}/fresh")).body(Empty::<Bytes>::new())?;
        let response = client.clone().oneshot(request).await?;
        let status = response.extensions().get::<CacheStatus>().map(ToString::to_string);
        let body = response.into_body().collect().await?.to_bytes();
        println!("{} bytes, {}", body.len(), status.unwrap_or_default());
    }
    Ok(())
}
