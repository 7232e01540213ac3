//! "No clock decides an invalidation": what was stored as of a lookup before it is marked.

use std::sync::Arc;

use super::Fixture;
use super::sample::{
    ARRIVED, SampleBody, alias, check, freshen, group, head, key, lookup, only, put_alias, store, write,
};
use crate::entry::{Alias, BodyEnd, Group, GroupId, StoredHead, StoredResponse};
use crate::storage::{DynStorage, Published};

fn member(name: &str, groups: &[&str]) -> StoredHead {
    let mut head = head(&key(name), SampleBody { seed: 1, len: 100_000 });
    head.groups = groups.iter().map(|name| group(name)).collect();
    head
}

async fn invalidate(storage: &dyn DynStorage, name: &str) {
    storage.invalidate(&[GroupId::of(&group(name))]).await.expect("invalidate");
}

/// Members are marked and kept; others are not marked.
pub async fn members_are_marked_when_their_group_is_invalidated(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (name, groups) in [("in", ["a", "b"].as_slice()), ("also", &["b"]), ("out", &["c"]), ("none", &[])] {
        store(storage, member(name, groups)).await;
    }
    invalidate(storage, "b").await;
    for (name, invalidated) in [("in", true), ("also", true), ("out", false), ("none", false)] {
        let found = only(storage, &key(name)).await;
        assert_eq!(found.invalidated, invalidated, "{name}");
        check(storage, &found).await;
    }
}

/// Several groups go in one call.
pub async fn all_groups_of_one_call_are_invalidated(fixture: Fixture) {
    let storage = &*fixture.storage;
    let names: Vec<_> = (0..100).map(|number| format!("group-{number}")).collect();
    for name in &names {
        store(storage, member(name, &[name])).await;
    }
    let ids: Vec<_> = names.iter().map(|name| GroupId::of(&group(name))).collect();
    storage.invalidate(&ids).await.expect("invalidate");
    storage.invalidate(&[]).await.expect("invalidating nothing is no error");
    for name in &names {
        assert!(only(storage, &key(name)).await.invalidated, "{name}");
    }
}

/// The target URI: under all keys.
pub async fn everything_stored_for_a_target_is_marked_when_it_is_invalidated(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (name, uri) in [
        ("plain", "https://conformance.example/shared?a"),
        ("otherwise-keyed", "https://conformance.example/shared?a"),
        ("otherwise-spelled", "https://CONFORMANCE.example:443/x/../%73hared?a"),
        ("other-query", "https://conformance.example/shared?b"),
    ] {
        store(storage, StoredHead { uri: uri.to_owned(), ..member(name, &[]) }).await;
    }
    let target = GroupId::of_target("https://conformance.example/shared?a");
    storage.invalidate(&[target]).await.expect("invalidate");
    for name in ["plain", "otherwise-keyed", "otherwise-spelled"] {
        assert!(only(storage, &key(name)).await.invalidated, "{name}");
    }
    assert!(!only(storage, &key("other-query")).await.invalidated);
}

/// "Every response that is stored or freshened as a consequence of this lookup carries it": times mean nothing.
pub async fn what_is_stored_after_the_invalidation_is_not_marked(fixture: Fixture) {
    let storage = &*fixture.storage;
    invalidate(storage, "g").await;
    for arrived in [ARRIVED, ARRIVED.plus_millis(-1_000_000_000), ARRIVED.plus_millis(1_000_000_000)] {
        let mut head = member("member", &["g"]);
        head.response_time = arrived;
        store(storage, head).await;
        assert!(!only(storage, &key("member")).await.invalidated, "{arrived:?}");
        invalidate(storage, "g").await;
        assert!(only(storage, &key("member")).await.invalidated, "{arrived:?}");
    }
}

/// A fill or a validation that was under way brings nothing back.
pub async fn what_was_looked_up_before_the_invalidation_is_marked(fixture: Fixture) {
    let storage = &*fixture.storage;
    let head = member("under-way", &["g"]);
    let before = lookup(storage, &head.key).await;
    invalidate(storage, "g").await;
    let head = StoredHead { as_of: before.as_of, ..head };
    let mut writer = storage.begin(head.clone(), before.fence).await.expect("begin");
    write(&mut writer, super::sample::body_of(&head)).await;
    // Refusing it altogether is allowed.
    if writer.publish(BodyEnd::default()).await.expect("publish") == Published::Stored {
        assert!(only(storage, &head.key).await.invalidated, "the fill began before");
    }

    store(storage, member("validated", &["g"])).await;
    let before = lookup(storage, &key("validated")).await;
    invalidate(storage, "g").await;
    let stored = only(storage, &key("validated")).await;
    let head = StoredHead { as_of: before.as_of, ..StoredHead::clone(&stored.head) };
    storage.freshen(head, before.fence).await.expect("freshen");
    assert!(only(storage, &key("validated")).await.invalidated, "the validation began before");
}

/// A response that was validated after the invalidation may be used again.
pub async fn a_freshened_response_is_no_longer_marked(fixture: Fixture) {
    let storage = &*fixture.storage;
    store(storage, member("fresh", &["g"])).await;
    invalidate(storage, "g").await;
    let stored = only(storage, &key("fresh")).await;
    assert!(stored.invalidated);
    assert!(freshen(storage, StoredHead::clone(&stored.head)).await);
    assert!(!only(storage, &key("fresh")).await.invalidated);
}

/// A group is an origin and a name; neither runs into the other.
pub async fn origins_and_names_are_kept_apart(fixture: Fixture) {
    let storage = &*fixture.storage;
    store(storage, member("mine", &["g", "a\"b{c}\n\0"])).await;
    for (origin, name) in [
        ("https://other.example", "g"),
        ("https://conformance.example", "G"),
        ("https://conformance.exampleg", ""),
        ("https://conformance.exampl", "eg"),
        ("http://conformance.example", "g"),
        ("https://conformance.example", "a\"b{c}\n"),
    ] {
        let other = Group { origin: origin.to_owned(), name: name.to_owned() };
        storage.invalidate(&[GroupId::of(&other)]).await.expect("invalidate");
        assert!(!only(storage, &key("mine")).await.invalidated, "{other:?} is another group");
    }
    invalidate(storage, "a\"b{c}\n\0").await;
    assert!(only(storage, &key("mine")).await.invalidated);
}

/// Aliases are stored responses too.
pub async fn aliases_are_marked_too(fixture: Fixture) {
    let storage = &*fixture.storage;
    let Alias { response, target } = alias(&key("from"), &key("to"), "moved");
    let mut head = (*response.head).clone();
    head.groups = vec![group("g")];
    let response = StoredResponse { head: Arc::new(head), ..response };
    put_alias(storage, Alias { response, target }).await;
    assert!(!lookup(storage, &key("from")).await.alias.expect("the alias").response.invalidated);
    invalidate(storage, "g").await;
    assert!(lookup(storage, &key("from")).await.alias.expect("the alias").response.invalidated);
}

/// "... and the storage bounds what it remembers": invalidating ever new targets does not grow the storage without end.
pub async fn invalidating_what_is_not_stored_takes_bounded_room(fixture: Fixture) {
    let storage = &*fixture.storage;
    store(storage, member("kept", &["g"])).await;
    let usage = storage.usage().await.expect("usage");
    for round in 0..10 {
        let ids: Vec<_> = (0..100)
            .map(|number| GroupId::of_target(&format!("https://never.example/{round}/{number}")))
            .collect();
        storage.invalidate(&ids).await.expect("invalidate");
    }
    assert_eq!(storage.usage().await.expect("usage"), usage);
    invalidate(storage, "g").await;
    assert!(only(storage, &key("kept")).await.invalidated);
}

/// The invalidation is part of the data: other handles and later ones see it, and count it.
pub async fn another_handle_sees_the_invalidation(fixture: Fixture) {
    let Some(other) = fixture.second().await else { return };
    store(&*fixture.storage, member("shared", &["g"])).await;
    assert!(!only(&*other, &key("shared")).await.invalidated);
    invalidate(&*fixture.storage, "g").await;
    assert!(only(&*other, &key("shared")).await.invalidated);
    store(&*other, member("shared", &["g"])).await;
    assert!(!only(&*fixture.storage, &key("shared")).await.invalidated, "stored by one who knows of it");
    invalidate(&*other, "g").await;
    assert!(only(&*fixture.storage, &key("shared")).await.invalidated);
    drop(other);
    let Some(fixture) = fixture.reopened().await else { return };
    assert!(only(&*fixture.storage, &key("shared")).await.invalidated);
}
