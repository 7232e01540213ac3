//! "Replaces the head of the response that is stored under `head.key` with the id `head.id`, and only that one."

use http::HeaderValue;

use super::Fixture;
use super::sample::{
    ARRIVED, SampleBody, assert_nothing, check, check_only, fields, freshen, head, key, lookup, only, store,
    store_at, variant,
};
use crate::entry::{EntryId, StoredHead};
use crate::storage::StorageErrorKind;

fn freshened(head: &StoredHead) -> StoredHead {
    let mut fresh = head.clone();
    fresh.headers.insert("etag", HeaderValue::from_static("\"new\""));
    fresh.headers.append(
        "x-added",
        HeaderValue::from_static("by a 304, and longer than anything that stood here before"),
    );
    fresh.request_time = ARRIVED.plus_millis(60_000);
    fresh.response_time = ARRIVED.plus_millis(60_050);
    fresh.freshness.lifetime = 300;
    fresh
}

/// "The body is not touched. Returns whether the head was replaced."
pub async fn the_head_is_replaced_and_the_body_is_not_touched(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [0, 100, 300_000] {
        let key = key(&format!("freshened-{len}"));
        store_at(storage, &key, 1, len).await;
        let before = only(storage, &key).await;
        let fresh = freshened(&before.head);
        assert!(freshen(storage, fresh.clone()).await, "the response was there");
        let after = only(storage, &key).await;
        assert_eq!(fields(&after.head.headers), fields(&fresh.headers));
        assert_eq!(*after.head, fresh);
        check(storage, &after).await;
        check(storage, &before).await;
    }
    assert_eq!(storage.usage().await.expect("usage").responses, 3, "freshening adds no response");
}

/// "... and only that one": neither another variant, nor a response under another key.
pub async fn only_the_response_with_the_id_is_freshened(fixture: Fixture) {
    let (storage, here, other) = (&*fixture.storage, key("here"), key("other"));
    let german = variant(&here, "de", SampleBody { seed: 1, len: 10 });
    let english = variant(&here, "en", SampleBody { seed: 2, len: 20 });
    store(storage, german.clone()).await;
    store(storage, english.clone()).await;
    let elsewhere = store_at(storage, &other, 3, 30).await;

    let stored = lookup(storage, &here).await.responses;
    let stored = stored.iter().find(|response| response.head.id == german.id).expect("the variant");
    assert!(freshen(storage, freshened(&stored.head)).await);
    for response in lookup(storage, &here).await.responses {
        assert_eq!(response.head.headers.contains_key("x-added"), response.head.id == german.id);
        check(storage, &response).await;
    }

    let mut misplaced = freshened(&stored.head);
    misplaced.key = other.clone();
    assert!(!freshen(storage, misplaced).await, "the id is not stored under that key");
    check_only(storage, &elsewhere).await;

    let mut unknown = freshened(&stored.head);
    unknown.id = EntryId::random();
    assert!(!freshen(storage, unknown).await, "the id is not stored at all");
    assert_eq!(lookup(storage, &here).await.responses.len(), 2);
}

/// "[`StorageErrorKind::Invalid`] when `head.body` is `None`", and the response stays as it was.
pub async fn a_head_that_does_not_know_its_body_is_refused(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [0, 100, 300_000] {
        let key = key(&format!("bodiless-{len}"));
        store_at(storage, &key, 1, len).await;
        let before = only(storage, &key).await;
        let bodiless = StoredHead { body: None, ..freshened(&before.head) };
        let error = storage.freshen(bodiless, lookup(storage, &key).await.fence).await.expect_err("refused");
        assert_eq!(error.kind(), StorageErrorKind::Invalid);
        let after = only(storage, &key).await;
        assert_eq!(*after.head, *before.head);
        check(storage, &after).await;
    }
}

/// "With a fence from before a removal or clearing that covers the key, it never freshens a removed response."
pub async fn a_fence_from_before_a_removal_freshens_nothing(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("fenced"));
    for clearing in [false, true] {
        for len in [100, 300_000] {
            store_at(storage, &key, 1, len).await;
            let (before, fence) = (only(storage, &key).await, lookup(storage, &key).await.fence);
            match clearing {
                false => drop(storage.remove(&key).await.expect("remove")),
                true => storage.clear(None).await.expect("clear"),
            }
            let fresh = freshened(&before.head);
            assert!(!storage.freshen(fresh.clone(), fence).await.expect("freshen"));
            let newer = store_at(storage, &key, 2, len).await;
            assert!(!storage.freshen(fresh, fence).await.expect("freshen"));
            check_only(storage, &newer).await;
            assert!(!only(storage, &key).await.head.headers.contains_key("x-added"));
        }
    }
}

/// A 304 that answers a validation of the old response says nothing of the new one.
pub async fn a_replaced_response_is_not_freshened(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("outrun"));
    store_at(storage, &key, 1, 100).await;
    let before = only(storage, &key).await;
    let newer = store_at(storage, &key, 2, 200).await;
    assert!(!freshen(storage, freshened(&before.head)).await);
    check_only(storage, &newer).await;
    assert!(!only(storage, &key).await.head.headers.contains_key("x-added"));
}

/// "A removal refuses earlier fills", freshening included.
pub async fn a_removed_response_is_not_freshened(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("gone"));
    for len in [100, 300_000] {
        store(storage, head(&key, SampleBody { seed: 1, len })).await;
        let before = only(storage, &key).await;
        storage.remove(&key).await.expect("remove");
        assert!(!freshen(storage, freshened(&before.head)).await);
        assert_nothing(storage, &key).await;
    }
}
