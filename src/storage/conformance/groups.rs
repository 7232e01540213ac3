//! "From now on, lookups mark its members whose response_time is not after `at` as invalidated."

use std::sync::Arc;

use super::Fixture;
use super::sample::{ARRIVED, SampleBody, alias, check, group, head, key, lookup, only, put_alias, store};
use crate::entry::{Alias, Group, StoredHead, StoredResponse};

fn member(name: &str, groups: &[&str]) -> StoredHead {
    let mut head = head(&key(name), SampleBody { seed: 1, len: 100_000 });
    head.groups = groups.iter().map(|name| group(name)).collect();
    head
}

/// Members are marked and kept; others are not marked.
pub async fn members_are_marked_when_their_group_is_invalidated(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (name, groups) in [("in", ["a", "b"].as_slice()), ("also", &["b"]), ("out", &["c"]), ("none", &[])] {
        store(storage, member(name, groups)).await;
    }
    storage.invalidate_group(&group("b"), ARRIVED).await.expect("invalidate_group");
    for (name, invalidated) in [("in", true), ("also", true), ("out", false), ("none", false)] {
        let found = only(storage, &key(name)).await;
        assert_eq!(found.invalidated, invalidated, "{name}");
        check(storage, &found).await;
    }
}

/// "... whose response_time is not after `at`", and an earlier invalidation does not undo a later one.
pub async fn responses_that_arrived_later_are_not_marked(fixture: Fixture) {
    let storage = &*fixture.storage;
    let mut later = member("later", &["g"]);
    later.response_time = ARRIVED.plus_millis(1);
    store(storage, later).await;
    store(storage, member("same", &["g"])).await;
    storage.invalidate_group(&group("g"), ARRIVED.plus_millis(-1)).await.expect("invalidate_group");
    assert!(!only(storage, &key("same")).await.invalidated);
    storage.invalidate_group(&group("g"), ARRIVED).await.expect("invalidate_group");
    storage.invalidate_group(&group("g"), ARRIVED.plus_millis(-1)).await.expect("invalidate_group");
    assert!(only(storage, &key("same")).await.invalidated);
    assert!(!only(storage, &key("later")).await.invalidated);

    let mut newer = member("same", &["g"]);
    newer.response_time = ARRIVED.plus_millis(5);
    store(storage, newer).await;
    assert!(!only(storage, &key("same")).await.invalidated, "a new response is not marked");
}

/// A response that was validated after the invalidation may be used again.
pub async fn a_freshened_response_is_no_longer_marked(fixture: Fixture) {
    let storage = &*fixture.storage;
    store(storage, member("fresh", &["g"])).await;
    storage.invalidate_group(&group("g"), ARRIVED).await.expect("invalidate_group");
    let mut fresh = (*only(storage, &key("fresh")).await.head).clone();
    fresh.response_time = ARRIVED.plus_millis(10);
    assert!(storage.freshen(fresh).await.expect("freshen"));
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
        storage.invalidate_group(&other, ARRIVED).await.expect("invalidate_group");
        assert!(!only(storage, &key("mine")).await.invalidated, "{other:?} is another group");
    }
    storage.invalidate_group(&group("a\"b{c}\n\0"), ARRIVED).await.expect("invalidate_group");
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
    storage.invalidate_group(&group("g"), ARRIVED).await.expect("invalidate_group");
    assert!(lookup(storage, &key("from")).await.alias.expect("the alias").response.invalidated);
}

/// The invalidation is part of the data: other handles and later ones see it.
pub async fn another_handle_sees_the_invalidation(fixture: Fixture) {
    let Some(other) = fixture.second().await else { return };
    store(&*fixture.storage, member("shared", &["g"])).await;
    assert!(!only(&*other, &key("shared")).await.invalidated);
    fixture.storage.invalidate_group(&group("g"), ARRIVED).await.expect("invalidate_group");
    assert!(only(&*other, &key("shared")).await.invalidated);
    drop(other);
    let Some(fixture) = fixture.reopened().await else { return };
    assert!(only(&*fixture.storage, &key("shared")).await.invalidated);
}
