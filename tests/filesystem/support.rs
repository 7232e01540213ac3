use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use larder::clock::Timestamp;
use larder::entry::{Alias, BodyEnd, StoredBody, StoredHead, StoredResponse};
use larder::key::{CacheKey, Selecting, SelectingField, SelectingValue};
use larder::storage::filesystem::{FileStorage, Format};
use larder::storage::{BodyReader, BodyWriter, Fence, Published, Storage, StorageError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const FORMATS: [Format; 2] = [Format::Compact, Format::Json];

/// A directory that does not exist yet, in one that is deleted at the end.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    (dir, path)
}

pub fn open(path: &Path, format: Format) -> FileStorage {
    FileStorage::builder().format(format).open(path).unwrap()
}

pub fn key(name: &str) -> CacheKey {
    let uri = format!("http://example.com/{name}");
    CacheKey::builder().part(CacheKey::METHOD, "GET").part(CacheKey::URI, uri).build()
}

pub fn head(name: &str) -> StoredHead {
    let mut head = StoredHead::new(key(name), StatusCode::OK);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    head.headers.append("x-repeated", HeaderValue::from_static("one"));
    head.headers.append("x-repeated", HeaderValue::from_static(""));
    head.headers.append("x-raw", HeaderValue::from_bytes(b"\xffraw").unwrap());
    head.response_time = Timestamp::from_secs(1_000);
    head
}

pub fn variant(name: &str, language: &'static [u8]) -> StoredHead {
    let mut head = head(name);
    let value = SelectingValue::Plain(Bytes::from_static(language));
    let field = SelectingField { name: HeaderName::from_static("accept-language"), value };
    head.selecting = Selecting { any: false, fields: vec![field] };
    head
}

/// Bytes that differ from block to block.
pub fn body(len: usize) -> Bytes {
    (0..len).map(|at| b'a' + ((at / 7 + at / 65_536) % 26) as u8).collect::<Vec<_>>().into()
}

pub async fn fence(storage: &FileStorage, head: &StoredHead) -> Fence {
    storage.lookup(&head.key).await.unwrap().fence
}

pub async fn try_store(
    storage: &FileStorage,
    head: StoredHead,
    body: Bytes,
) -> Result<Published, StorageError> {
    let found = storage.lookup(&head.key).await?;
    let mut writer = storage.begin(as_of(head, found.as_of), found.fence).await?;
    for piece in body.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    writer.publish(BodyEnd::default()).await
}

pub async fn store(storage: &FileStorage, head: StoredHead, body: Bytes) {
    assert_eq!(try_store(storage, head, body).await.unwrap(), Published::Stored);
}

fn as_of(mut head: StoredHead, as_of: u64) -> StoredHead {
    head.as_of = as_of;
    head
}

/// Replaces a head as of a lookup of this moment. Its body stays the stored one.
pub async fn freshen(storage: &FileStorage, mut head: StoredHead) -> bool {
    let found = storage.lookup(&head.key).await.unwrap();
    let stored = found.responses.first().and_then(|response| response.head.body);
    head.body = head.body.or(stored).or_else(|| Some(larder::entry::BodySummary::of(b"")));
    storage.freshen(as_of(head, found.as_of), found.fence).await.unwrap()
}

pub async fn read(storage: &FileStorage, response: &StoredResponse) -> Result<Bytes, StorageError> {
    match &response.body {
        StoredBody::Inline(body) => Ok(body.clone()),
        _ => {
            let mut reader = storage.open(&response.head).await?;
            let mut all = Vec::new();
            while let Some(piece) = reader.next().await? {
                all.extend_from_slice(&piece);
            }
            Ok(all.into())
        }
    }
}

/// The body of the one response under the key, if there is one.
pub async fn get(storage: &FileStorage, name: &str) -> Option<Bytes> {
    let lookup = storage.lookup(&key(name)).await.unwrap();
    match lookup.responses.first() {
        Some(response) => read(storage, response).await.ok(),
        None => None,
    }
}

pub fn alias(from: &str, to: &str) -> Alias {
    let mut head = head(from);
    head.status = StatusCode::FOUND;
    let response = StoredResponse {
        head: Arc::new(head),
        body: StoredBody::Inline(Bytes::from_static(b"moved")),
        invalidated: false,
    };
    Alias { response, target: key(to) }
}

/// All files below a directory with their contents.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
