//! "Aliases maps a key to at most one redirect alias."

use http::{HeaderMap, HeaderValue, StatusCode};

use super::Fixture;
use super::sample::{alias, check_only, key, lookup, put_alias, store_at};
use crate::entry::{Alias, StoredBody, StoredHead};
use crate::storage::StorageErrorKind;

fn text(alias: &Alias) -> &[u8] {
    match &alias.response.body {
        StoredBody::Inline(bytes) => bytes,
        StoredBody::Shared(pieces) if pieces.len() == 1 => &pieces[0],
        StoredBody::Shared(pieces) if pieces.is_empty() => b"",
        body => panic!("the small body of an alias comes with it, not {body:?}"),
    }
}

/// An alias is the 3xx response itself, its small body, and the key of the target.
pub async fn an_alias_is_found_with_its_target_and_body(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (name, body) in [("a", ""), ("b", "<p>moved, and here is <a href='/elsewhere'>where to</a>")] {
        let alias = alias(&key(name), &key("target"), body);
        let as_of = lookup(storage, &key(name)).await.as_of;
        put_alias(storage, alias.clone()).await;
        let found = lookup(storage, &key(name)).await;
        assert!(found.responses.is_empty());
        let found = found.alias.expect("the alias");
        assert_eq!(found.target, key("target"));
        assert_eq!(*found.response.head, StoredHead { as_of, ..StoredHead::clone(&alias.response.head) });
        assert_eq!(text(&found), body.as_bytes());
        assert!(!found.response.invalidated);
    }
}

/// "Stores or replaces the alias under `alias.response.head.key`."
pub async fn an_alias_replaces_the_one_before(fixture: Fixture) {
    let (storage, from) = (&*fixture.storage, key("from"));
    put_alias(storage, alias(&from, &key("first"), "first")).await;
    put_alias(storage, alias(&from, &key("second"), "second")).await;
    let found = lookup(storage, &from).await.alias.expect("the alias");
    assert_eq!(found.target, key("second"));
    assert_eq!(text(&found), b"second");
    assert_eq!(storage.usage().await.expect("usage").aliases, 1);
}

/// "Returns everything that is stored under `key`, in both keyspaces, in one round trip."
pub async fn both_keyspaces_are_found_in_one_lookup(fixture: Fixture) {
    let (storage, both) = (&*fixture.storage, key("both"));
    let head = store_at(storage, &both, 1, 100).await;
    put_alias(storage, alias(&both, &key("target"), "moved")).await;
    check_only(storage, &head).await;
    let found = lookup(storage, &both).await;
    assert_eq!((found.responses.len(), found.alias.is_some()), (1, true));
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (1, 1));
}

/// A response published under a key leaves the key's alias, and the other way round.
pub async fn the_keyspaces_do_not_replace_each_other(fixture: Fixture) {
    let (storage, both) = (&*fixture.storage, key("both"));
    put_alias(storage, alias(&both, &key("target"), "moved")).await;
    let head = store_at(storage, &both, 1, 200_000).await;
    put_alias(storage, alias(&both, &key("other"), "moved again")).await;
    check_only(storage, &head).await;
    assert_eq!(lookup(storage, &both).await.alias.expect("the alias").target, key("other"));
    let newer = store_at(storage, &both, 2, 10).await;
    check_only(storage, &newer).await;
    assert_eq!(lookup(storage, &both).await.alias.expect("the alias").target, key("other"));
}

/// "Stores or replaces the alias under `alias.response.head.key`. The kinds of the two may differ.": a redirect, or a record of `No-Vary-Search`.
pub async fn an_alias_of_one_kind_replaces_one_of_another(fixture: Fixture) {
    let (storage, from) = (&*fixture.storage, key("from"));
    let equivalent = |target| {
        let mut alias = alias(&from, &key(target), "");
        let mut head = StoredHead::clone(&alias.response.head);
        (head.status, head.headers) = (StatusCode::OK, HeaderMap::new());
        head.headers.insert("no-vary-search", HeaderValue::from_static("params"));
        alias.response.head = head.into();
        alias
    };
    for round in 0..2 {
        put_alias(storage, alias(&from, &key("target"), "moved")).await;
        assert_eq!(text(&lookup(storage, &from).await.alias.expect("the alias")), b"moved", "{round}");
        put_alias(storage, equivalent("stored")).await;
        let found = lookup(storage, &from).await.alias.expect("the alias");
        assert_eq!((found.response.head.status, &found.target), (StatusCode::OK, &key("stored")));
        assert_eq!(found.response.head.headers["no-vary-search"], "params");
        assert_eq!(storage.usage().await.expect("usage").aliases, 1);
    }
}

/// "The alias contains its body: it is not `Streamed`."
pub async fn an_alias_without_its_body_is_refused(fixture: Fixture) {
    let (storage, from) = (&*fixture.storage, key("from"));
    let mut streamed = alias(&from, &key("target"), "moved");
    streamed.response.body = StoredBody::Streamed;
    let fence = lookup(storage, &from).await.fence;
    let error = storage.put_alias(streamed, fence).await.expect_err("refused");
    assert_eq!(error.kind(), StorageErrorKind::Invalid);
    assert!(lookup(storage, &from).await.alias.is_none());
}
