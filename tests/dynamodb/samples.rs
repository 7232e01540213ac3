//! Responses to store.

use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;
use larder::clock::Timestamp;
use larder::entry::{BodyEnd, StoredBody, StoredHead, StoredResponse};
use larder::key::CacheKey;
use larder::storage::{BodyReader, BodyWriter, DynamoStorage, Published, Storage, StorageError};

pub(crate) const USABLE_UNTIL: Timestamp = Timestamp::from_secs(4_000_000_000);

pub(crate) fn key(name: &str) -> CacheKey {
    CacheKey::builder()
        .part(CacheKey::METHOD, "GET")
        .part(CacheKey::URI, format!("https://a.example/{name}"))
        .build()
}

pub(crate) fn head(name: &str) -> StoredHead {
    let mut head = StoredHead::new(key(name), StatusCode::OK);
    head.headers.insert("content-type", "text/plain".parse().unwrap());
    head.request_time = Timestamp::from_secs(1_700_000_000);
    head.response_time = Timestamp::from_secs(1_700_000_001);
    head.usable_until = USABLE_UNTIL;
    head
}

/// Bytes in which no two chunks are alike. Made once: debug builds take their time over each.
pub(crate) fn body(len: usize) -> Bytes {
    const LONGEST: usize = 3_000_000;
    static WHOLE: LazyLock<Bytes> =
        LazyLock::new(|| (0..LONGEST).map(|at| (at.wrapping_mul(31) ^ (at >> 9)) as u8).collect());
    WHOLE.slice(..len)
}

pub(crate) async fn try_store(
    storage: &DynamoStorage,
    head: &StoredHead,
    body: &Bytes,
) -> Result<Published, StorageError> {
    let found = storage.lookup(&head.key).await?;
    let mut head = head.clone();
    head.as_of = found.as_of;
    let mut writer = storage.begin(head, found.fence).await?;
    for piece in body.chunks(100_000) {
        writer.write(body.slice_ref(piece)).await?;
    }
    writer.publish(BodyEnd::default()).await
}

pub(crate) async fn store(storage: &DynamoStorage, head: &StoredHead, body: &Bytes) {
    assert_eq!(try_store(storage, head, body).await.unwrap(), Published::Stored);
}

/// Freshens as the consequence of a lookup.
pub(crate) async fn freshen(storage: &DynamoStorage, mut head: StoredHead) -> bool {
    let found = storage.lookup(&head.key).await.unwrap();
    head.as_of = found.as_of;
    storage.freshen(head, found.fence).await.unwrap()
}

pub(crate) async fn only(storage: &DynamoStorage, name: &str) -> StoredResponse {
    let mut found = storage.lookup(&key(name)).await.unwrap().responses;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// What can be read of a body, and the error that ended it.
pub(crate) async fn read(
    storage: &DynamoStorage,
    response: &StoredResponse,
) -> (Vec<u8>, Option<StorageError>) {
    let mut bytes = Vec::new();
    if let StoredBody::Inline(body) = &response.body {
        return (body.to_vec(), None);
    }
    let mut reader = match storage.open(&response.head).await {
        Ok(reader) => reader,
        Err(error) => return (bytes, Some(error)),
    };
    loop {
        match reader.next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return (bytes, None),
            Err(error) => return (bytes, Some(error)),
        }
    }
}

pub(crate) async fn is_whole(storage: &DynamoStorage, name: &str, body: &Bytes) {
    let (bytes, error) = read(storage, &only(storage, name).await).await;
    assert!(error.is_none(), "{error:?}");
    assert!(bytes == *body, "the body is what was written");
}
