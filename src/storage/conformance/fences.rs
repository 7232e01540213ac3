//! "Removal fences off fills": what was removed is not brought back by a fill from before.

use crate::entry::BodyEnd;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Fixture;
use super::sample::{
    SampleBody, alias, assert_nothing, begin, body_of, check_only, fence, freshen, head, key, lookup, store,
    store_at, write,
};
use crate::key::CacheKey;
use crate::storage::{DynStorage, Fence, Keyspace, Published};

async fn fill(storage: &dyn DynStorage, key: &CacheKey, len: usize, fence: Fence) -> Published {
    let head = head(key, SampleBody { seed: 7, len });
    let mut writer = storage.begin(head.clone(), fence).await.expect("begin");
    write(&mut writer, body_of(&head)).await;
    writer.publish(BodyEnd::default()).await.expect("publish")
}

async fn is_refused(storage: &dyn DynStorage, key: &CacheKey, fence: Fence) {
    for len in [10, 200_000] {
        assert_eq!(fill(storage, key, len, fence).await, Published::Superseded);
        assert!(lookup(storage, key).await.responses.is_empty(), "nothing came back");
    }
}

/// "A publication ... that carries a fence from before a remove ... is refused", also where nothing was stored.
pub async fn a_removal_after_the_lookup_refuses_the_fill(fixture: Fixture) {
    let (storage, empty, full) = (&*fixture.storage, key("empty"), key("full"));
    store_at(storage, &full, 1, 100).await;
    for key in [empty, full] {
        let fence = fence(storage, &key).await;
        storage.remove(&key).await.expect("remove");
        is_refused(storage, &key, fence).await;
    }
}

/// ... at any moment of the fill.
pub async fn a_removal_while_the_body_is_written_refuses_the_fill(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("meanwhile"));
    for len in [10, 200_000] {
        let head = head(&key, SampleBody { seed: 1, len });
        let body = body_of(&head);
        let mut writer = begin(storage, head).await;
        writer.write(body.piece(0, len / 2)).await.expect("write");
        storage.remove(&key).await.expect("remove");
        writer.write(body.piece(len / 2, len)).await.expect("write");
        assert_eq!(writer.publish(BodyEnd::default()).await.expect("publish"), Published::Superseded);
        assert_nothing(storage, &key).await;
    }
}

/// "... or clear that covers its key."
pub async fn a_clearing_after_the_lookup_refuses_the_fill(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("cleared"));
    let before = fence(storage, &key).await;
    storage.clear(None).await.expect("clear");
    is_refused(storage, &key, before).await;
    let published = storage.put_alias(alias(&key, &key, "moved"), before).await.expect("put_alias");
    assert_eq!(published, Published::Superseded);
    assert_nothing(storage, &key).await;
}

/// Clearing the responses covers every response.
pub async fn a_clearing_of_responses_refuses_the_fill(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("cleared"));
    let fence = fence(storage, &key).await;
    storage.clear(Some(Keyspace::Responses)).await.expect("clear");
    is_refused(storage, &key, fence).await;
}

/// "A publication, alias ... is refused."
pub async fn a_removal_after_the_lookup_refuses_the_alias(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("alias"));
    let fence = fence(storage, &key).await;
    storage.remove(&key).await.expect("remove");
    let published = storage.put_alias(alias(&key, &key, "moved"), fence).await.expect("put_alias");
    assert_eq!(published, Published::Superseded);
    assert_nothing(storage, &key).await;
}

/// Clearing the aliases covers every alias.
pub async fn a_clearing_of_aliases_refuses_the_alias(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("alias"));
    let fence = fence(storage, &key).await;
    storage.clear(Some(Keyspace::Aliases)).await.expect("clear");
    let published = storage.put_alias(alias(&key, &key, "moved"), fence).await.expect("put_alias");
    assert_eq!(published, Published::Superseded);
    assert_nothing(storage, &key).await;
}

/// A fence from after the removal is accepted: the key is not blocked permanently.
pub async fn a_lookup_after_the_removal_may_fill(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("later"));
    for seed in 1..4 {
        storage.remove(&key).await.expect("remove");
        let head = store_at(storage, &key, seed, 100).await;
        check_only(storage, &head).await;
        storage.clear(None).await.expect("clear");
        let head = store_at(storage, &key, seed, 100_000).await;
        check_only(storage, &head).await;
    }
}

/// "A storage may refuse too often, but never too seldom": however a storage remembers removals, it may not forget.
pub async fn an_older_removal_is_not_forgotten_among_many(fixture: Fixture) {
    let (storage, key) = (Arc::clone(&fixture.storage), key("early"));
    let fence = fence(&*storage, &key).await;
    storage.remove(&key).await.expect("remove");
    let mut removing = JoinSet::new();
    for task in 0..16 {
        let storage = Arc::clone(&storage);
        removing.spawn(async move {
            for number in 0..125 {
                storage.remove(&super::sample::key(&format!("other-{task}-{number}"))).await.expect("remove");
            }
        });
    }
    removing.join_all().await;
    is_refused(&*storage, &key, fence).await;
}

/// "... in this process and in every other one that shares the data."
pub async fn removals_by_another_handle_refuse_too(fixture: Fixture) {
    let Some(other) = fixture.second().await else { return };
    let (storage, key) = (&*fixture.storage, key("elsewhere"));

    let before = fence(storage, &key).await;
    other.remove(&key).await.expect("remove");
    is_refused(storage, &key, before).await;

    let before = fence(storage, &key).await;
    other.clear(None).await.expect("clear");
    is_refused(storage, &key, before).await;

    let before = fence(storage, &key).await;
    other.remove(&key).await.expect("remove");
    let published = storage.put_alias(alias(&key, &key, "moved"), before).await.expect("put_alias");
    assert_eq!(published, Published::Superseded);

    store(storage, head(&key, SampleBody { seed: 1, len: 10 })).await;
    let stored = super::sample::only(storage, &key).await;
    other.remove(&key).await.expect("remove");
    assert!(!freshen(storage, (*stored.head).clone()).await);
    assert_nothing(storage, &key).await;
}
