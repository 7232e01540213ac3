//! Heads that could not be read again are refused, and never stored and then found to be corrupt. Variants and aliases
//! do not grow beyond the limits.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue};
use larder::entry::codec::{MAX_FIELDS, MAX_HEAD_LEN};
use larder::entry::{Alias, BodyEnd, BodySummary, Group, StoredBody, StoredHead, StoredResponse};
use larder::key::CacheKey;
use larder::storage::{DynStorage, Published, StorageError, StorageErrorKind};

fn key(name: &str) -> CacheKey {
    CacheKey::builder().part(CacheKey::URI, format!("https://example.com/{name}")).build()
}

fn storages(dir: &std::path::Path) -> Vec<Arc<dyn DynStorage>> {
    let _ = dir;
    vec![
        Arc::new(larder::storage::KeyValueStorage::new(crate::key_value::MapStore::default())),
        #[cfg(feature = "sqlite")]
        Arc::new(larder::storage::SqliteStorage::open(dir.join("cache.db")).unwrap()),
        #[cfg(all(feature = "filesystem", unix))]
        Arc::new(larder::storage::FileStorage::open(dir.join("compact")).unwrap()),
        #[cfg(all(feature = "filesystem", unix))]
        Arc::new(
            larder::storage::FileStorage::builder()
                .format(larder::storage::filesystem::Format::Json)
                .open(dir.join("json"))
                .unwrap(),
        ),
    ]
}

fn long() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("x-long", HeaderValue::from_bytes(&vec![b'a'; MAX_HEAD_LEN]).unwrap());
    fields
}

/// Heads that are too much in one way each.
fn too_large(name: &str) -> Vec<StoredHead> {
    let head = || StoredHead::new(key(name), StatusCode::OK);
    let (mut bytes, mut fields, mut groups, mut trailers) = (head(), head(), head(), head());
    bytes.headers = long();
    for _ in 0..=MAX_FIELDS {
        fields.headers.append("a", HeaderValue::from_static(""));
    }
    groups.groups = vec![Group { origin: String::new(), name: String::new() }; 20_000];
    trailers.trailers = Some(long());
    vec![bytes, fields, groups, trailers]
}

fn is_too_large<T: std::fmt::Debug>(result: Result<T, StorageError>, what: &str) {
    assert_eq!(result.unwrap_err().kind(), StorageErrorKind::TooLarge, "{what}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    for storage in storages(dir.path()) {
        let name = storage.name();
        for (number, head) in too_large("large").into_iter().enumerate() {
            let what = format!("{name}, {number}");
            let fence = storage.lookup(&head.key).await.unwrap().fence;
            is_too_large(storage.begin(head.clone(), fence).await.map(drop), &what);

            let mut stored = StoredHead::new(key("freshened"), StatusCode::OK);
            let fence = storage.lookup(&stored.key).await.unwrap().fence;
            let writer = storage.begin(stored.clone(), fence).await.unwrap();
            assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
            stored.headers = head.headers.clone();
            stored.trailers = head.trailers.clone();
            stored.groups = head.groups.clone();
            is_too_large(storage.freshen(stored.clone(), fence).await, &what);
            let found = storage.lookup(&stored.key).await.unwrap().responses;
            assert_eq!(found.len(), 1, "{what}: it is as it was");
            assert!(found[0].head.headers.is_empty());

            let mut head = head;
            head.body = Some(BodySummary::of(b""));
            let response = StoredResponse {
                head: head.into(),
                body: StoredBody::Inline(Bytes::new()),
                invalidated: false,
            };
            let alias = Alias { response, target: key("target") };
            is_too_large(storage.put_alias(alias, fence).await, &what);
        }
        assert!(storage.lookup(&key("large")).await.unwrap().responses.is_empty());
    }
}

#[tokio::test]
async fn trailer_fields_that_are_too_long_are_refused_when_they_come() {
    let dir = tempfile::tempdir().unwrap();
    for storage in storages(dir.path()) {
        for len in [10, 1_000_000] {
            let head = StoredHead::new(key("trailers"), StatusCode::OK);
            let fence = storage.lookup(&head.key).await.unwrap().fence;
            let mut writer = storage.begin(head, fence).await.unwrap();
            writer.write(vec![7; len].into()).await.unwrap();
            let end = BodyEnd { trailers: Some(long()), range: None };
            is_too_large(writer.publish(end).await, storage.name());
            assert!(storage.lookup(&key("trailers")).await.unwrap().responses.is_empty());
        }
        let usage = storage.usage().await.unwrap();
        assert_eq!(usage.responses, 0, "{}", storage.name());
    }
}

/// Each of them fits, and all of them together are too much for one file: what is stored is found, whatever is refused.
#[cfg(all(feature = "filesystem", unix))]
#[tokio::test]
async fn many_large_variants_of_one_key_do_not_spoil_each_other() {
    use larder::key::{Selecting, SelectingField, SelectingValue};
    use larder::storage::{BodyWriter, Storage};

    let dir = tempfile::tempdir().unwrap();
    let storage = larder::storage::FileStorage::open(dir.path().join("cache")).unwrap();
    let fence = Storage::lookup(&storage, &key("variants")).await.unwrap().fence;
    let value = HeaderValue::from_bytes(&vec![b'a'; MAX_HEAD_LEN - 10_000]).unwrap();
    let (mut stored, mut refused) = (0, 0);
    for number in 0..18 {
        let mut head = StoredHead::new(key("variants"), StatusCode::OK);
        head.headers.insert("x-long", value.clone());
        let value = SelectingValue::Plain(format!("v{number}").into());
        let name = http::HeaderName::from_static("accept");
        head.selecting = Selecting { any: false, fields: vec![SelectingField { name, value }] };
        let writer = Storage::begin(&storage, head, fence).await.unwrap();
        match BodyWriter::publish(writer, BodyEnd::default()).await {
            Ok(published) => {
                assert_eq!(published, Published::Stored);
                stored += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
                refused += 1;
            }
        }
    }
    assert!(stored > 10 && refused > 0, "{stored}, {refused}");
    assert_eq!(Storage::lookup(&storage, &key("variants")).await.unwrap().responses.len(), stored);
}

const MOST: u64 = 100;

/// Storages that take [`MOST`] entries.
fn bounded() -> Vec<Arc<dyn DynStorage>> {
    vec![
        Arc::new(larder::storage::MemoryStorage::builder().max_entries(MOST).build().unwrap()),
        #[cfg(feature = "sqlite")]
        Arc::new(larder::storage::SqliteStorage::builder().max_entries(MOST).in_memory().unwrap()),
    ]
}

async fn put(storage: &dyn DynStorage, head: StoredHead) {
    let fence = storage.lookup(&head.key).await.unwrap().fence;
    let mut writer = storage.begin(head, fence).await.unwrap();
    writer.write(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
}

/// As many as `LARDER_VARIANTS` says.
#[tokio::test]
async fn very_many_variants_of_one_key_stay_within_the_limit_and_the_newest_is_found() {
    use larder::key::{Selecting, SelectingField, SelectingValue};

    let variants = std::env::var("LARDER_VARIANTS").map_or(2000, |number| number.parse().unwrap());
    for storage in bounded() {
        put(&*storage, StoredHead::new(key("beside"), StatusCode::OK)).await;
        for number in 0..variants {
            let mut head = StoredHead::new(key("variants"), StatusCode::OK);
            let value = SelectingValue::Plain(format!("agent {number}").into());
            let field = SelectingField { name: http::header::USER_AGENT, value };
            head.selecting = Selecting { any: false, fields: vec![field] };
            let id = head.id;
            put(&*storage, head).await;
            if number % 100 == 99 {
                let found = storage.lookup(&key("variants")).await.unwrap().responses;
                assert_eq!(found[0].head.id, id, "{}: the newest is the first", storage.name());
                assert!((2..=32).contains(&found.len()), "{}: {}", storage.name(), found.len());
            }
        }
        let kept = storage.lookup(&key("variants")).await.unwrap().responses.len() as u64;
        let beside = storage.lookup(&key("beside")).await.unwrap().responses.len() as u64;
        let usage = storage.usage().await.unwrap();
        assert_eq!((usage.responses, beside), (kept + 1, 1), "{}: nothing else had to go", storage.name());
    }
}

#[tokio::test]
async fn aliases_count_as_entries_and_stay_within_the_limit() {
    for storage in bounded() {
        for number in 0..20 * MOST {
            let mut head = StoredHead::new(key(&format!("from{number}")), StatusCode::FOUND);
            head.body = Some(BodySummary::of(b""));
            let fence = storage.lookup(&head.key).await.unwrap().fence;
            let body = StoredBody::Inline(Bytes::new());
            let response = StoredResponse { head: head.into(), body, invalidated: false };
            let alias = Alias { response, target: key("target") };
            assert_eq!(storage.put_alias(alias, fence).await.unwrap(), Published::Stored);
        }
        let aliases = storage.usage().await.unwrap().aliases;
        assert!((1..=MOST).contains(&aliases), "{}: {aliases}", storage.name());
    }
}
