//! What was stored comes back: every field of a head.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};

use super::Fixture;
use super::sample::{
    SampleBody, begin, body_of, check, fields, group, head, key, lookup, only, store, write,
};
use crate::clock::Timestamp;
use crate::entry::{BodyEnd, Freshness, StoredHead, StoredRange, codec};
use crate::key::{Selecting, SelectingField, SelectingValue};
use crate::storage::{DynStorage, Published, StorageError, StorageErrorKind};

async fn survives(storage: &dyn DynStorage, head: &StoredHead) {
    let as_of = lookup(storage, &head.key).await.as_of;
    store(storage, head.clone()).await;
    let found = only(storage, &head.key).await;
    let expected = StoredHead { body: Some(body_of(head).summary()), as_of, ..head.clone() };
    assert_eq!(fields(&found.head.headers), fields(&expected.headers), "the fields in their order");
    assert_eq!(*found.head, expected);
    check(storage, &found).await;
}

/// Status, times, selecting fields, freshness, range and groups are found as they were published.
pub async fn every_field_survives(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [100, 200_000] {
        let mut head = head(&key("every"), SampleBody { seed: 1, len });
        head.uri = "https://conformance.example/every?q=1".to_owned();
        head.status = StatusCode::PARTIAL_CONTENT;
        head.version = Version::HTTP_2;
        head.request_time = Timestamp::from_millis(1_699_999_999_001);
        head.response_time = Timestamp::from_millis(1_699_999_999_999);
        head.usable_until = Timestamp::MAX;
        head.selecting = Selecting {
            any: false,
            fields: vec![
                field("accept", SelectingValue::Plain(b"text/html;q=\"\xff\"".as_slice().into())),
                field("accept-encoding", SelectingValue::Absent),
                field("authorization", SelectingValue::Hashed([0xab; 32])),
                field("x-empty", SelectingValue::Plain(bytes::Bytes::new())),
            ],
        };
        head.freshness = Freshness {
            settings: u64::MAX,
            lifetime: 1 << 31,
            initial_age: 1234,
            no_cache: true,
            must_revalidate: true,
            immutable: true,
            stale_while_revalidate: 5,
            stale_if_error: 6,
            explicit: true,
            overridden: true,
            outdated: true,
            date: Timestamp::from_millis(1_699_999_998_000),
        };
        head.authorized = true;
        head.range = Some(StoredRange { first: 7, complete_len: Some(u64::from(u32::MAX) + 1) });
        head.groups = vec![group("scripts"), group("with \"quotes\" and Grüße"), group("")];
        survives(storage, &head).await;
        storage.remove(&head.key).await.expect("remove");

        head.selecting = Selecting { any: true, fields: Vec::new() };
        head.freshness = Freshness::default();
        head.range = Some(StoredRange { first: 0, complete_len: None });
        head.groups.clear();
        head.request_time = Timestamp::EPOCH;
        survives(storage, &head).await;
        storage.remove(&head.key).await.expect("remove");
    }
}

fn field(name: &'static str, value: SelectingValue) -> SelectingField {
    SelectingField { name: HeaderName::from_static(name), value }
}

/// Fields keep their order, their repeats and their raw bytes.
pub async fn repeated_and_empty_and_raw_fields_survive_in_order(fixture: Fixture) {
    let mut head = head(&key("raw"), SampleBody { seed: 1, len: 10 });
    for (name, value) in [
        ("warning", b"199 - one".as_slice()),
        ("x-empty", b""),
        ("link", b"</a>; rel=preload"),
        ("x-raw", b"\xff\xfe caf\xe9 \x80"),
        ("link", b"</b>; rel=preload"),
        ("x-tab", b"a\tb"),
        ("link", b""),
        ("x-json", b"{\"a\": [1, 'b', \"\\\\\"]}"),
        ("vary", b"accept, accept-language"),
    ] {
        head.headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a value"));
    }
    survives(&*fixture.storage, &head).await;
}

/// "Its body is what was written so far. `end` has ... the trailer fields."
pub async fn trailers_survive_apart(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [10, 200_000] {
        let head = head(&key("trailers"), SampleBody { seed: 1, len });
        let mut trailers = HeaderMap::new();
        trailers.append("server-timing", HeaderValue::from_static("a;dur=1"));
        trailers.append("server-timing", HeaderValue::from_static("b;dur=2"));
        trailers.append("x-checksum", HeaderValue::from_bytes(b"\xffz").expect("a value"));
        let mut writer = begin(storage, head.clone()).await;
        write(&mut writer, body_of(&head)).await;
        assert_eq!(
            writer.publish(BodyEnd { trailers: Some(trailers.clone()), range: None }).await.expect("publish"),
            Published::Stored
        );
        let found = only(storage, &head.key).await;
        assert_eq!(found.head.trailers.as_ref().map(fields), Some(fields(&trailers)));
        assert_eq!(fields(&found.head.headers), fields(&head.headers), "the headers gain nothing");
        check(storage, &found).await;
    }
}

/// An answered head stays as it was.
pub async fn odd_versions_methods_and_statuses_survive(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (number, (version, method, status)) in [
        (Version::HTTP_09, Method::GET, 200),
        (Version::HTTP_10, Method::HEAD, 404),
        (Version::HTTP_11, Method::POST, 599),
        (Version::HTTP_2, Method::from_bytes(b"QUERY").expect("a method"), 299),
        (Version::HTTP_3, Method::OPTIONS, 999),
    ]
    .into_iter()
    .enumerate()
    {
        let mut head = head(&key(&format!("odd-{number}")), SampleBody { seed: 1, len: 3 });
        head.version = version;
        head.method = method;
        head.status = StatusCode::from_u16(status).expect("a status");
        survives(storage, &head).await;
    }
}

/// Heads may be large.
pub async fn many_fields_survive(fixture: Fixture) {
    let mut head = head(&key("many"), SampleBody { seed: 1, len: 100 });
    for number in 0..300_u32 {
        let name = HeaderName::from_bytes(format!("x-field-{}", number % 120).as_bytes()).expect("a name");
        let value = HeaderValue::from_str(&format!("{number} {}", "v".repeat(100))).expect("a value");
        head.headers.append(name, value);
    }
    survives(&*fixture.storage, &head).await;
}

/// Heads that are larger than what the codec decodes are [too large](StorageErrorKind::TooLarge), or come back as they were.
/// They are never stored in a form that cannot be read.
pub async fn heads_over_the_limit_are_refused_or_survive(fixture: Fixture) {
    let storage = &*fixture.storage;
    for name in ["lines", "bytes"] {
        let grow = |head: &mut StoredHead| {
            if name == "lines" {
                for _ in 0..=codec::MAX_FIELDS {
                    head.headers.append("x", HeaderValue::from_static(""));
                }
            } else {
                let value = HeaderValue::from_bytes(&vec![b'v'; codec::MAX_HEAD_LEN]).expect("a value");
                head.headers.append("x", value);
            }
        };
        let small = head(&key(&format!("over-{name}")), SampleBody { seed: 1, len: 10 });
        store(storage, small.clone()).await;
        let mut large = StoredHead::clone(&only(storage, &small.key).await.head);
        grow(&mut large);
        let fence = lookup(storage, &small.key).await.fence;
        let freshened = storage.freshen(large.clone(), fence).await;
        let expected = if is_taken(&freshened) { &large } else { &small };
        assert_eq!(fields(&only(storage, &small.key).await.head.headers), fields(&expected.headers));

        let mut large = head(&key(&format!("over-new-{name}")), SampleBody { seed: 1, len: 10 });
        grow(&mut large);
        let fence = lookup(storage, &large.key).await.fence;
        let published = match storage.begin(large.clone(), fence).await {
            Ok(mut writer) => {
                write(&mut writer, body_of(&large)).await;
                writer.publish(BodyEnd::default()).await
            }
            Err(error) => Err(error),
        };
        let found = lookup(storage, &large.key).await.responses;
        let found: Vec<_> = found.iter().map(|one| fields(&one.head.headers)).collect();
        let expected = if is_taken(&published) { vec![fields(&large.headers)] } else { Vec::new() };
        assert_eq!(found, expected, "{name}");
    }
}

fn is_taken<T>(result: &Result<T, StorageError>) -> bool {
    if let Err(error) = result {
        assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
    }
    result.is_ok()
}
