//! The bytes of every stored format, as they are checked in beside this file.
//!
//! A difference is no mistake of this test: what was stored before is read wrongly, or not at all, by what is built now.
//! Raise the version of the format, so that it is a miss, and only then take the new bytes over:
//! `LARDER_GOLDEN=write cargo test --all-features --test golden`.
#![cfg(all(feature = "conformance", feature = "filesystem", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod files;
#[cfg(all(feature = "redis", feature = "gridfs", feature = "dynamodb"))]
mod servers;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use larder::clock::Timestamp;
use larder::entry::{Alias, BodyEnd, EntryId, Group, StoredBody, StoredHead, StoredResponse, codec};
use larder::key::{CacheKey, Selecting, SelectingField, SelectingValue};
use larder::storage::key_value::Space;
use larder::storage::{BodyWriter, ByteStore, KeyValueStorage, Published, Storage, StorageError};

/// Compares with the file of this format.
#[track_caller]
fn check(format: &str, version: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{format}.txt"));
    if std::env::var_os("LARDER_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "raise the version of this format ({version}): {format} is not stored as it was.\n\
         stored now:\n{found}\nstored before:\n{expected}"
    );
}

/// Text as it is, everything else in hexadecimal digits, in short lines.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            match byte {
                b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
                _ => write!(text, "\\{byte:02x}").unwrap(),
            }
        }
        text.push('\n');
    }
    text
}

fn key(name: &str) -> CacheKey {
    CacheKey::builder()
        .part(CacheKey::PARTITION, [0, 0xff, b','])
        .part(CacheKey::METHOD, "GET")
        .part(CacheKey::URI, format!("https://golden.example/{name}?q=1"))
        .build()
}

/// Something of everything that a head can hold.
fn head() -> StoredHead {
    let mut head = StoredHead::new(key("page"), StatusCode::PARTIAL_CONTENT);
    head.id = EntryId::from_bits(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
    head.uri = "https://golden.example/page?q=1".to_owned();
    head.version = Version::HTTP_2;
    head.headers.append("content-type", HeaderValue::from_static("text/plain"));
    head.headers.append("x-repeated", HeaderValue::from_static("one"));
    head.headers.append("x-repeated", HeaderValue::from_bytes(b"two \xff").unwrap());
    head.headers.append("etag", HeaderValue::from_static("\"golden\""));
    let mut trailers = HeaderMap::new();
    trailers.append("x-checksum", HeaderValue::from_static("abc"));
    head.trailers = Some(trailers);
    head.request_time = Timestamp::from_millis(1_700_000_000_123);
    head.response_time = Timestamp::from_millis(1_700_000_001_456);
    head.usable_until = Timestamp::from_millis(4_000_000_000_789);
    let field = |name: &'static str, value| SelectingField { name: name.parse().unwrap(), value };
    head.selecting = Selecting {
        any: false,
        fields: vec![
            field("accept", SelectingValue::Plain(Bytes::from_static(b"text/*"))),
            field("accept-encoding", SelectingValue::Absent),
            field("authorization", SelectingValue::Hashed([0xab; 32])),
        ],
    };
    head.freshness.settings = 0x1122_3344_5566_7788;
    head.freshness.lifetime = 3600;
    head.freshness.initial_age = 1500;
    head.freshness.must_revalidate = true;
    head.freshness.explicit = true;
    head.freshness.stale_while_revalidate = 30;
    head.freshness.stale_if_error = 60;
    head.freshness.date = Timestamp::from_millis(1_700_000_000_000);
    head.authorized = true;
    head.range = Some(larder::entry::StoredRange { first: 7, complete_len: Some(1 << 33) });
    head.groups = vec![Group { origin: "https://golden.example".into(), name: "group".into() }];
    head
}

const BODY: &[u8] = b"a golden body";

fn finished() -> StoredHead {
    let mut head = head();
    head.finish(
        larder::entry::BodySummary::of(BODY),
        BodyEnd { trailers: head.trailers.clone(), ..BodyEnd::default() },
    );
    head
}

fn alias() -> Alias {
    let mut head = head();
    head.id = EntryId::from_bits(0x7766_5544_3322_1100_fedc_ba98_7654_3210);
    head.status = StatusCode::FOUND;
    head.key = key("moved");
    head.range = None;
    head.trailers = None;
    let body = StoredBody::Inline(Bytes::from_static(BODY));
    Alias { response: StoredResponse { head: Arc::new(head), body, invalidated: false }, target: key("page") }
}

async fn store(storage: &impl Storage, body: &[u8]) {
    let found = storage.lookup(&head().key).await.unwrap();
    let mut writer = storage.begin(head(), found.fence).await.unwrap();
    writer.write(Bytes::copy_from_slice(body)).await.unwrap();
    let end = BodyEnd { trailers: head().trailers, ..BodyEnd::default() };
    assert_eq!(writer.publish(end).await.unwrap(), Published::Stored);
    let fence = storage.lookup(&key("moved")).await.unwrap().fence;
    assert_eq!(storage.put_alias(alias(), fence).await.unwrap(), Published::Stored);
}

#[test]
fn the_canonical_key() {
    let key = key("page");
    check("key", "none: change nothing", &format!("{}{}\n", shown(key.canonical()), key.hex_digest()));
}

#[test]
fn the_encoded_head() {
    let encoded = codec::encode(&finished());
    check("head", "codec::VERSION", &shown(&encoded));
    assert_eq!(codec::decode(&encoded.into()).unwrap(), finished());
}

#[test]
fn the_encoded_head_with_its_body() {
    check("head_and_body", "codec::VERSION", &shown(&codec::encode_with_body(&finished(), BODY)));
}

#[test]
fn the_encoded_alias() {
    check("alias", "codec::VERSION", &shown(&codec::encode_alias(&alias()).unwrap()));
}

#[derive(Clone, Debug, Default)]
struct Map(Arc<Mutex<BTreeMap<(Space, String), Bytes>>>);

impl ByteStore for Map {
    fn name(&self) -> &'static str {
        "map"
    }

    async fn get(&self, space: Space, name: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(self.0.lock().unwrap().get(&(space, name.to_owned())).cloned())
    }

    async fn put(&self, space: Space, name: &str, value: Bytes) -> Result<(), StorageError> {
        self.0.lock().unwrap().insert((space, name.to_owned()), value);
        Ok(())
    }

    async fn remove(&self, space: Space, name: &str) -> Result<bool, StorageError> {
        Ok(self.0.lock().unwrap().remove(&(space, name.to_owned())).is_some())
    }

    async fn list(&self, _: Space, _: Option<&str>, _: usize) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    async fn len(&self, _: Space) -> Result<u64, StorageError> {
        Ok(0)
    }

    async fn clear(&self, _: Space) -> Result<(), StorageError> {
        Ok(())
    }
}

#[tokio::test]
async fn the_records_of_key_value_storages() {
    for (format, len) in [("key_value_inline", BODY.len()), ("key_value_streamed", 100_000)] {
        let map = Map::default();
        let body = BODY.repeat(len.div_ceil(BODY.len()));
        store(&KeyValueStorage::new(map.clone()), &body[..len]).await;
        let mut found = String::new();
        for ((space, name), value) in &*map.0.lock().unwrap() {
            // The name of a body has the second in it when that was begun, and so has the record.
            if *space == Space::Responses || *space == Space::Aliases {
                let mut value = value.to_vec();
                if len > BODY.len() && *space == Space::Responses {
                    value[21..29].fill(b'#');
                }
                write!(found, "{space:?} {name}\n{}", shown(&value)).unwrap();
            }
        }
        check(format, "MAGIC in key_value/layout.rs", &found);
    }
}
