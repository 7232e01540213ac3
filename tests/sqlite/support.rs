//! Heads, bodies and short ways to store and read them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use larder::entry::{BodyEnd, BodySummary, StoredBody, StoredHead};
use larder::key::CacheKey;
use larder::storage::{BodyReader, BodyWriter, Fence, Published, SqliteStorage, Storage, StorageError};

pub(crate) fn key(name: &str) -> CacheKey {
    CacheKey::builder().part("m", "GET").part("u", format!("https://example.com/{name}")).build()
}

pub(crate) fn head(key: &CacheKey) -> StoredHead {
    let mut head = StoredHead::new(key.clone(), StatusCode::OK);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    headers.insert("etag", HeaderValue::from_static("\"v1\""));
    head.headers = headers;
    head
}

/// Bytes that tell a body and a place in it from every other.
pub(crate) fn body(seed: u64, len: usize) -> Bytes {
    let mut random = fastrand_like(seed);
    (0..len).map(|_| random()).collect::<Vec<u8>>().into()
}

fn fastrand_like(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }
}

pub(crate) async fn fence(storage: &SqliteStorage, key: &CacheKey) -> Fence {
    storage.lookup(key).await.unwrap().fence
}

pub(crate) async fn try_put(
    storage: &SqliteStorage,
    head: StoredHead,
    body: &Bytes,
) -> Result<Published, StorageError> {
    let found = storage.lookup(&head.key).await?;
    let mut writer = storage.begin(as_of(head, found.as_of), found.fence).await?;
    for piece in body.chunks(50_000) {
        writer.write(body.slice_ref(piece)).await?;
    }
    writer.publish(BodyEnd::default()).await
}

pub(crate) async fn put(storage: &SqliteStorage, key: &CacheKey, body: &Bytes) -> StoredHead {
    let mut head = as_of(head(key), storage.lookup(key).await.unwrap().as_of);
    assert_eq!(try_put(storage, head.clone(), body).await.unwrap(), Published::Stored);
    head.body = Some(BodySummary::of(body));
    head
}

fn as_of(mut head: StoredHead, as_of: u64) -> StoredHead {
    head.as_of = as_of;
    head
}

/// Replaces a head as of a lookup of this moment. Its body stays the stored one.
pub(crate) async fn freshen(storage: &SqliteStorage, mut head: StoredHead) -> bool {
    let found = storage.lookup(&head.key).await.unwrap();
    let stored = found.responses.first().and_then(|response| response.head.body);
    head.body = head.body.or(stored).or_else(|| Some(BodySummary::of(b"")));
    storage.freshen(as_of(head, found.as_of), found.fence).await.unwrap()
}

/// The body of the newest response under a key.
pub(crate) async fn get(storage: &SqliteStorage, key: &CacheKey) -> Option<Bytes> {
    let lookup = storage.lookup(key).await.unwrap();
    let response = lookup.responses.into_iter().next()?;
    assert_eq!(response.head.key, *key);
    match response.body {
        StoredBody::Inline(body) => Some(body),
        StoredBody::Streamed => Some(read(storage, &response.head).await.unwrap()),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn read(storage: &SqliteStorage, head: &StoredHead) -> Result<Bytes, StorageError> {
    let mut reader = storage.open(head).await?;
    let mut body = Vec::new();
    while let Some(piece) = reader.next().await? {
        body.extend_from_slice(&piece);
    }
    assert_eq!(Some(BodySummary::of(&body)), head.body, "never other bytes");
    Ok(body.into())
}

/// Another program's view of the file.
pub(crate) fn plain_sql(path: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

pub(crate) fn count(connection: &rusqlite::Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}
