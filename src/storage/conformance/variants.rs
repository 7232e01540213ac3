//! "Other variants stay, up to a limit of the storage's own; beyond it the least recently published go."

use super::Fixture;
use super::sample::{SampleBody, body_of, check, head, key, lookup, store, variant};
use crate::entry::{EntryId, StoredRange};
use crate::storage::DynStorage;

/// More variants than any storage keeps under one key.
const MANY: u64 = 100;
/// No storage keeps more than this, so that the cost of a lookup stays bounded.
const LIMIT: usize = 64;

async fn ids(storage: &dyn DynStorage, name: &str) -> Vec<EntryId> {
    lookup(storage, &key(name)).await.responses.iter().map(|response| response.head.id).collect()
}

/// "Responses maps a key to the stored responses (variants) under it."
pub async fn several_variants_stand_side_by_side(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("variants"));
    for (seed, language) in (1..).zip(["de", "en", "fr", "ja", ""]) {
        store(storage, variant(&key, language, SampleBody { seed, len: 1000 + 60_000 * seed as usize }))
            .await;
    }
    let found = lookup(storage, &key).await;
    assert_eq!(found.responses.len(), 5);
    for response in &found.responses {
        check(storage, response).await;
    }
    assert_eq!(storage.usage().await.expect("usage").responses, 5);
}

/// "Publication replaces every stored response under the key whose selecting fields ... equal the new one's."
pub async fn equal_selecting_fields_replace(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("equal"));
    let german = variant(&key, "de", SampleBody { seed: 1, len: 10 });
    let english = variant(&key, "en", SampleBody { seed: 2, len: 20 });
    let newer = variant(&key, "de", SampleBody { seed: 3, len: 30 });
    for head in [&german, &english, &newer] {
        store(storage, head.clone()).await;
    }
    let mut found = ids(storage, "equal").await;
    found.sort_unstable();
    let mut expected = vec![english.id, newer.id];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// "... and range equal the new one's."
pub async fn a_different_range_is_a_different_variant(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("ranges"));
    let mut heads = Vec::new();
    for (seed, range) in [
        (1, None),
        (2, Some(StoredRange { first: 0, complete_len: Some(1000) })),
        (3, Some(StoredRange { first: 500, complete_len: Some(1000) })),
        (4, Some(StoredRange { first: 500, complete_len: None })),
    ] {
        let mut head = head(&key, SampleBody { seed, len: 100 });
        head.range = range;
        store(storage, head.clone()).await;
        heads.push(head);
    }
    let found = lookup(storage, &key).await.responses;
    assert_eq!(found.len(), heads.len(), "each range stands for itself");
    for response in &found {
        let stored = heads.iter().find(|head| head.id == response.head.id).expect("one of them");
        assert_eq!(response.head.range, stored.range);
        check(storage, response).await;
    }
    let mut again = heads[2].clone();
    again.id = EntryId::random();
    store(storage, again.clone()).await;
    let found = ids(storage, "ranges").await;
    assert_eq!(found.len(), heads.len(), "an equal range replaces");
    assert!(found.contains(&again.id) && !found.contains(&heads[2].id));
}

/// "The most recently published response is the first."
pub async fn the_most_recently_published_comes_first(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("order"));
    let mut expected = Vec::new();
    for (seed, language) in (1..).zip(["de", "en", "fr", "de", "it", "en"]) {
        let head = variant(&key, language, SampleBody { seed, len: 5 });
        store(storage, head.clone()).await;
        expected.retain(|(_, stored)| *stored != language);
        expected.insert(0, (head.id, language));
        let expected: Vec<_> = expected.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids(storage, "order").await, expected);
    }
}

/// "... up to a limit of the storage. Beyond this limit the least recently published ones are removed."
pub async fn the_number_of_variants_is_bounded_and_the_oldest_go(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("bounded"));
    let mut published = Vec::new();
    for seed in 0..MANY {
        let head = variant(&key, &format!("x-{seed}"), SampleBody { seed, len: 40 });
        store(storage, head.clone()).await;
        published.insert(0, head.id);
    }
    let found = lookup(storage, &key).await.responses;
    assert!(!found.is_empty() && found.len() <= LIMIT, "{} variants are kept", found.len());
    for response in &found {
        assert_eq!(body_of(&response.head).len, 40);
        check(storage, response).await;
    }
    published.truncate(found.len());
    assert_eq!(ids(storage, "bounded").await, published, "those published last are kept");
    assert_eq!(storage.usage().await.expect("usage").responses, found.len() as u64);
}
