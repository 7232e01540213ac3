//! What is MongoDB's own: the documents people see, files, indexes, and everything that can go wrong with a server.
#![cfg(feature = "gridfs")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod documents;
mod failures;
mod files;
mod foreign;
mod options;
mod outage;
mod planted;
#[path = "../support/mongo.rs"]
mod server;

use larder_test_support::{layered, wire};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use larder::clock::{Clock, SystemClock};
use larder::entry::{BodyEnd, StoredHead};
use larder::key::CacheKey;
use larder::storage::{DynStorage, Published, StorageError};

fn key(name: &str) -> CacheKey {
    CacheKey::builder()
        .part(CacheKey::METHOD, "GET")
        .part(CacheKey::URI, format!("https://example.com/{name}"))
        .build()
}

/// A head that is usable for an hour from now.
fn head(name: &str, content_type: &str) -> StoredHead {
    let now = SystemClock.now();
    let mut head = StoredHead::new(key(name), StatusCode::OK);
    head.headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    head.request_time = now.plus_millis(-20);
    head.response_time = now;
    head.usable_until = now.plus_millis(3_600_000);
    head
}

async fn store(
    storage: &(impl DynStorage + ?Sized),
    mut head: StoredHead,
    body: &[u8],
) -> Result<Published, StorageError> {
    let found = storage.lookup(&head.key).await?;
    head.as_of = found.as_of;
    let mut writer = storage.begin(head, found.fence).await?;
    for chunk in body.chunks(64 * 1024) {
        writer.write(Bytes::copy_from_slice(chunk)).await?;
    }
    writer.publish(BodyEnd::default()).await
}

async fn read(storage: &(impl DynStorage + ?Sized), head: &StoredHead) -> Result<Vec<u8>, StorageError> {
    let mut reader = storage.open(head).await?;
    let mut body = Vec::new();
    while let Some(chunk) = reader.next().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
