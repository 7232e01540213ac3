//! "Errors are errors of this call. After an error the storage is as usable as before."

use bytes::Bytes;

use super::Fixture;
use super::sample::{
    SampleBody, alias, assert_nothing, check_only, fence, head, key, lookup, only, put_alias, store,
    store_at, try_store,
};
use crate::entry::{BodySummary, StoredHead, codec};
use crate::storage::{AnyReader, StorageError, StorageErrorKind};

const MIB: usize = 1024 * 1024;

/// `Missing` "when the body no longer exists", at the latest with the first bytes.
pub async fn opening_an_unknown_body_is_missing(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stored = store_at(storage, &key("known"), 1, 300_000).await;
    for name in ["known", "unknown"] {
        let mut head = head(&key(name), SampleBody { seed: 1, len: 300_000 });
        head.body = Some(BodySummary { len: 300_000, checksum: 1 });
        let error = match storage.open(&head).await {
            Ok(reader) => first_error(reader).await,
            Err(error) => error,
        };
        assert_eq!(error.kind(), StorageErrorKind::Missing, "{error}");
    }
    check_only(storage, &stored).await;
}

async fn first_error(mut reader: AnyReader) -> StorageError {
    reader.next().await.expect_err("there is no body")
}

/// `TooLarge` "when the announced length is over the limit".
pub async fn an_announced_body_over_the_limit_is_too_large(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("announced"));
    let Some(limit) = fixture.max_body else {
        return println!("skipped: the fixture has no limit for one body");
    };
    let mut head = head(&key, SampleBody { seed: 1, len: 0 });
    head.body = Some(BodySummary { len: limit + 1, checksum: 0 });
    let fence = fence(storage, &key).await;
    let error = storage.begin(head, fence).await.expect_err("the limit holds");
    assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
    assert_nothing(storage, &key).await;
    check_only(storage, &store_at(storage, &key, 2, 10).await).await;
}

/// `TooLarge` "when the body exceeds the limit. After an error the writer can only be aborted."
pub async fn a_written_body_over_the_limit_is_too_large(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("written"));
    let Some(limit) = fixture.max_body else {
        return println!("skipped: the fixture has no limit for one body");
    };
    let fence = fence(storage, &key).await;
    let mut writer = storage.begin(head(&key, SampleBody { seed: 1, len: 0 }), fence).await.expect("begin");
    let piece = Bytes::from(vec![7; MIB]);
    let mut refused = None;
    for _ in 0..=limit / MIB as u64 {
        if let Err(error) = writer.write(piece.clone()).await {
            refused = Some(error);
            break;
        }
    }
    let error = refused.expect("the limit holds");
    assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
    writer.abort().await;
    assert_nothing(storage, &key).await;
    check_only(storage, &store_at(storage, &key, 2, 10).await).await;
}

/// An error says which backend it comes from.
pub async fn the_error_names_its_backend(fixture: Fixture) {
    let storage = &*fixture.storage;
    assert!(!storage.name().is_empty());
    let mut head = head(&key("nobody"), SampleBody { seed: 1, len: 5 });
    head.body = Some(BodySummary { len: 5, checksum: 1 });
    let error = match storage.open(&head).await {
        Ok(reader) => first_error(reader).await,
        Err(error) => error,
    };
    assert_eq!(error.backend(), storage.name());
    assert!(error.to_string().contains(storage.name()), "{error}");
}

/// A head that cannot be read again is refused; a storage that can hold it, holds it.
pub async fn a_head_over_the_limit_is_too_large_and_never_stored_as_damage(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stored = store_at(storage, &key("long"), 1, 1000).await;
    let swell = |head: &mut StoredHead| {
        for _ in 0..=codec::MAX_HEAD_LEN / 60_000 {
            head.headers.append("x-long", "v".repeat(60_000).parse().expect("a value"));
        }
    };
    let mut long = only(storage, &stored.key).await.head.as_ref().clone();
    swell(&mut long);
    let fence_now = fence(storage, &stored.key).await;
    match storage.freshen(long, fence_now).await {
        Err(error) => {
            assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
            check_only(storage, &stored).await;
        }
        Ok(done) => assert_eq!(only(storage, &stored.key).await.head.headers.contains_key("x-long"), done),
    }

    let mut long = head(&key("new"), SampleBody { seed: 2, len: 1000 });
    swell(&mut long);
    match try_store(storage, long.clone()).await {
        Err(error) => {
            assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
            assert_nothing(storage, &long.key).await;
            let short = head(&long.key, SampleBody { seed: 3, len: 1000 });
            store(storage, short.clone()).await;
            check_only(storage, &short).await;
        }
        Ok(_) => check_only(storage, &long).await,
    }

    let from = key("moved");
    put_alias(storage, alias(&from, &key("target"), "moved")).await;
    let mut long = alias(&from, &key("other"), "moved again");
    swell(std::sync::Arc::make_mut(&mut long.response.head));
    let refused = storage.put_alias(long, fence(storage, &from).await).await;
    let target = if refused.is_ok() { "other" } else { "target" };
    assert_eq!(lookup(storage, &from).await.alias.expect("an alias").target, key(target));
    if let Err(error) = refused {
        assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
    }
}
