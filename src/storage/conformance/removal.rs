//! Taking away: one key, one entry, one keyspace, everything.

use super::Fixture;
use super::sample::{
    SampleBody, alias, assert_nothing, check_only, key, lookup, put_alias, store, store_at, variant,
};
use crate::entry::EntryId;
use crate::storage::Keyspace;

/// "Removes everything under `key` in both keyspaces."
pub async fn remove_takes_both_keyspaces_of_one_key(fixture: Fixture) {
    let (storage, gone, stays) = (&*fixture.storage, key("gone"), key("stays"));
    store(storage, variant(&gone, "de", SampleBody { seed: 1, len: 10 })).await;
    store(storage, variant(&gone, "en", SampleBody { seed: 2, len: 300_000 })).await;
    put_alias(storage, alias(&gone, &stays, "moved")).await;
    let head = store_at(storage, &stays, 3, 10).await;
    put_alias(storage, alias(&stays, &gone, "moved")).await;

    assert!(storage.remove(&gone).await.expect("remove"));
    assert_nothing(storage, &gone).await;
    check_only(storage, &head).await;
    assert!(lookup(storage, &stays).await.alias.is_some());
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (1, 1));
}

/// "Returns whether there was an entry."
pub async fn remove_says_whether_there_was_anything(fixture: Fixture) {
    let storage = &*fixture.storage;
    assert!(!storage.remove(&key("never")).await.expect("remove"));
    store_at(storage, &key("once"), 1, 10).await;
    assert!(storage.remove(&key("once")).await.expect("remove"));
    assert!(!storage.remove(&key("once")).await.expect("remove"));
    put_alias(storage, alias(&key("alias"), &key("once"), "moved")).await;
    assert!(storage.remove(&key("alias")).await.expect("remove"));
    assert!(!storage.remove(&key("alias")).await.expect("remove"));
}

/// "Removes the one response ... stored under the key with this id."
pub async fn remove_entry_takes_one_variant(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("variants"));
    let german = variant(&key, "de", SampleBody { seed: 1, len: 100_000 });
    let english = variant(&key, "en", SampleBody { seed: 2, len: 20 });
    store(storage, german.clone()).await;
    store(storage, english.clone()).await;
    put_alias(storage, alias(&key, &key, "moved")).await;
    assert!(storage.remove_entry(&key, german.id).await.expect("remove_entry"));
    check_only(storage, &english).await;
    assert!(lookup(storage, &key).await.alias.is_some());
    assert!(!storage.remove_entry(&key, german.id).await.expect("remove_entry"), "it is gone already");
    assert!(storage.remove_entry(&key, english.id).await.expect("remove_entry"));
    assert!(lookup(storage, &key).await.responses.is_empty());
}

/// "... or alias stored under the key with this id."
pub async fn remove_entry_takes_an_alias(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("alias"));
    let alias = alias(&key, &key, "moved");
    let head = store_at(storage, &key, 1, 10).await;
    put_alias(storage, alias.clone()).await;
    assert!(storage.remove_entry(&key, alias.response.head.id).await.expect("remove_entry"));
    assert!(lookup(storage, &key).await.alias.is_none());
    check_only(storage, &head).await;
    assert_eq!(storage.usage().await.expect("usage").aliases, 0);
}

/// "Returns whether there was one."
pub async fn remove_entry_with_another_id_takes_nothing(fixture: Fixture) {
    let (storage, one, two) = (&*fixture.storage, key("one"), key("two"));
    let first = store_at(storage, &one, 1, 10).await;
    let second = store_at(storage, &two, 2, 20).await;
    assert!(!storage.remove_entry(&one, EntryId::random()).await.expect("remove_entry"));
    assert!(
        !storage.remove_entry(&one, second.id).await.expect("remove_entry"),
        "the id stands under another key"
    );
    assert!(!storage.remove_entry(&key("none"), first.id).await.expect("remove_entry"));
    check_only(storage, &first).await;
    check_only(storage, &second).await;
}

/// "Removes everything ... in both."
pub async fn clear_takes_everything(fixture: Fixture) {
    let storage = &*fixture.storage;
    let keys: Vec<_> = (0..20).map(|number| key(&format!("clear-{number}"))).collect();
    for key in &keys {
        store_at(storage, key, 1, 30_000).await;
        put_alias(storage, alias(key, &keys[0], "moved")).await;
    }
    storage.clear(None).await.expect("clear");
    for key in &keys {
        assert_nothing(storage, key).await;
    }
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (0, 0));
}

/// "Removes everything in one keyspace."
pub async fn clear_takes_one_keyspace(fixture: Fixture) {
    let storage = &*fixture.storage;
    let keys: Vec<_> = (0..5).map(|number| key(&format!("clear-{number}"))).collect();
    for key in &keys {
        put_alias(storage, alias(key, &keys[0], "moved")).await;
        store_at(storage, key, 1, 30_000).await;
    }
    storage.clear(Some(Keyspace::Responses)).await.expect("clear");
    for key in &keys {
        let found = lookup(storage, key).await;
        assert_eq!((found.responses.len(), found.alias.is_some()), (0, true), "the aliases stay");
    }
    for key in &keys {
        store_at(storage, key, 1, 30_000).await;
    }
    storage.clear(Some(Keyspace::Aliases)).await.expect("clear");
    for key in &keys {
        let found = lookup(storage, key).await;
        assert_eq!((found.responses.len(), found.alias.is_some()), (1, false), "the responses stay");
    }
}

/// A cleared storage is an empty one, not a closed one.
pub async fn a_cleared_storage_can_be_used_again(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("again"));
    for seed in 1..4 {
        let head = store_at(storage, &key, seed, 100_000).await;
        check_only(storage, &head).await;
        storage.clear(None).await.expect("clear");
        assert_nothing(storage, &key).await;
    }
}
