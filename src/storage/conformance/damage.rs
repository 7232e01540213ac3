//! "A piece of a body is verified before it is handed out", "garbage is a miss".

use super::sample::{
    ARRIVED, SampleBody, assert_nothing, check, check_only, key, lookup, only, store, store_at, try_check,
    variant,
};
use super::{Damage, Fixture};
use crate::storage::StorageErrorKind;

/// After this damage a lookup is a miss, or the body ends in an error; every byte before is right.
async fn is_noticed(fixture: Fixture, len: usize, damage: Damage) {
    let storage = &*fixture.storage;
    let stored = store_at(storage, &key("damaged"), 1, len).await;
    let healthy = store_at(storage, &key("healthy"), 2, len).await;
    let stored = only(storage, &stored.key).await;
    if !fixture.spoil(&stored.head, damage).await {
        return;
    }
    for response in lookup(storage, &stored.head.key).await.responses {
        let error = try_check(storage, &response).await.expect_err("damage does not go unnoticed");
        let kind = error.kind();
        assert!(matches!(kind, StorageErrorKind::Missing | StorageErrorKind::Corrupt), "{error}");
    }
    check_only(storage, &healthy).await;
    let newer = store_at(storage, &key("damaged"), 3, len).await;
    check_only(storage, &newer).await;
}

/// Small bodies are verified before they come with their heads.
pub async fn a_flipped_bit_in_a_small_body_is_never_handed_out(fixture: Fixture) {
    is_noticed(fixture, 1000, Damage::FlipBody).await;
}

/// Large bodies are verified piece by piece.
pub async fn a_flipped_bit_in_a_large_body_is_never_handed_out(fixture: Fixture) {
    is_noticed(fixture, 1_000_000, Damage::FlipBody).await;
}

/// "... or an error. It never returns other bytes or a short body."
pub async fn a_lost_body_is_an_error_and_never_short(fixture: Fixture) {
    is_noticed(fixture, 1_000_000, Damage::LoseBody).await;
}

/// "Bytes that do not decode are not an error of `lookup`. It skips the entry and should remove it."
pub async fn a_garbled_head_is_a_miss(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [100, 300_000] {
        let stored = store_at(storage, &key("garbled"), 1, len).await;
        let healthy = store_at(storage, &key("healthy"), 2, len).await;
        if !fixture.spoil(&only(storage, &stored.key).await.head, Damage::GarbleHead).await {
            return;
        }
        assert_nothing(storage, &stored.key).await;
        check_only(storage, &healthy).await;
        for head in storage.responses(None, 10).await.expect("responses").items {
            assert_eq!(head.id, healthy.id, "listings skip it too");
        }
        let newer = store_at(storage, &key("garbled"), 3, len).await;
        check_only(storage, &newer).await;
        storage.clear(None).await.expect("clear");
    }
}

/// "An entry that another version of a format wrote is a miss too, but it stays": a lookup, a listing, maintenance and a
/// response that is stored under the same key do not remove it.
pub async fn what_another_version_wrote_is_a_miss_and_stays(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [100, 300_000] {
        let key = key(&format!("versions-{len}"));
        let theirs = variant(&key, "de", SampleBody { seed: 1, len });
        store(storage, theirs.clone()).await;
        let stored = only(storage, &key).await.head;
        if !fixture.spoil(&stored, Damage::OtherVersion).await {
            return;
        }
        for _ in 0..2 {
            assert_nothing(storage, &key).await;
            assert!(storage.responses(None, 10).await.expect("responses").items.is_empty());
        }
        storage.maintain(ARRIVED).await.expect("maintain");
        let ours = variant(&key, "en", SampleBody { seed: 2, len });
        store(storage, ours.clone()).await;
        check_only(storage, &ours).await;
        assert!(fixture.spoil(&stored, Damage::OwnVersion).await, "it is still there");
        let found = lookup(storage, &key).await.responses;
        assert_eq!(found.len(), 2, "both versions have what they stored");
        for response in &found {
            check(storage, response).await;
        }
        storage.clear(None).await.expect("clear");
    }
}
