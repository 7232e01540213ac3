//! Pages of everything, and counts.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Fixture;
use super::sample::{SampleBody, alias, head, key, put_alias, store, store_at, variant};
use crate::entry::{Alias, EntryId, StoredHead};
use crate::storage::{Cursor, DynStorage, StorageErrorKind};

const SIZES: [usize; 5] = [1, 2, 7, 25, 1000];

async fn all_responses(storage: &dyn DynStorage, limit: usize) -> Vec<StoredHead> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = storage.responses(after.as_ref(), limit).await.expect("responses");
        assert!(page.items.len() <= limit, "a page holds at most {limit}");
        seen.extend(page.items);
        let Some(next) = page.next else { return seen };
        after = Some(next);
    }
}

async fn all_aliases(storage: &dyn DynStorage, limit: usize) -> Vec<Alias> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = storage.aliases(after.as_ref(), limit).await.expect("aliases");
        assert!(page.items.len() <= limit, "a page holds at most {limit}");
        seen.extend(page.items);
        let Some(next) = page.next else { return seen };
        after = Some(next);
    }
}

fn once(ids: impl Iterator<Item = EntryId>) -> BTreeSet<EntryId> {
    let mut seen = BTreeSet::new();
    for id in ids {
        assert!(seen.insert(id), "nothing is listed twice");
    }
    seen
}

async fn fill(storage: &dyn DynStorage) -> BTreeSet<EntryId> {
    let mut stored = BTreeSet::new();
    for number in 0..11 {
        let key = key(&format!("listed-{number}"));
        for (seed, language) in (1..).zip(["de", "en", "fr"]).take(number % 3 + 1) {
            let head = variant(&key, language, SampleBody { seed, len: number * 9_000 });
            stored.insert(head.id);
            store(storage, head).await;
        }
    }
    stored
}

/// "All others appear exactly once", with any size of the pages.
pub async fn every_page_size_sees_every_response_once(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stored = fill(storage).await;
    put_alias(storage, alias(&key("listed-1"), &key("x"), "moved")).await;
    for limit in SIZES {
        let seen = all_responses(storage, limit).await;
        for head in &seen {
            assert!(head.body.is_some(), "listed heads are whole");
        }
        assert_eq!(once(seen.iter().map(|head| head.id)), stored, "with pages of {limit}");
    }
}

/// The same for aliases, which come with body and target.
pub async fn every_page_size_sees_every_alias_once(fixture: Fixture) {
    let storage = &*fixture.storage;
    store_at(storage, &key("from-1"), 1, 10).await;
    let mut stored = BTreeSet::new();
    for number in 0..13 {
        let alias = alias(&key(&format!("from-{number}")), &key(&format!("to-{number}")), "moved");
        stored.insert(alias.response.head.id);
        put_alias(storage, alias).await;
    }
    for limit in SIZES {
        let seen = all_aliases(storage, limit).await;
        for alias in &seen {
            let from = alias.response.head.key.uri().expect("a URI");
            assert_eq!(alias.target.uri().expect("a URI"), from.replace("from", "to"));
        }
        assert_eq!(once(seen.iter().map(|alias| alias.response.head.id)), stored, "with pages of {limit}");
    }
}

/// Nothing stored, nothing listed.
pub async fn an_empty_storage_lists_nothing(fixture: Fixture) {
    let storage = &*fixture.storage;
    assert!(all_responses(storage, 10).await.is_empty());
    assert!(all_aliases(storage, 10).await.is_empty());
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (0, 0));
}

/// "Entries that are stored or removed during the listing may or may not appear. All others appear exactly once."
pub async fn a_removal_between_pages_loses_nothing_else(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stored = fill(storage).await;
    let (mut seen, mut gone, mut after) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let page = storage.responses(after.as_ref(), 3).await.expect("responses");
        // The entry that a careless cursor would point to goes before the next page is asked for.
        if let Some(last) = page.items.last() {
            storage.remove_entry(&last.key, last.id).await.expect("remove_entry");
            gone.insert(last.id);
        }
        seen.extend(page.items.iter().map(|head| head.id));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    let seen = once(seen.into_iter());
    assert!(stored.difference(&gone).all(|id| seen.contains(id)));
}

/// A cursor of another storage, or garbage, is an error or a page; never a panic, and never harm.
pub async fn a_foreign_cursor_does_no_harm(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stored = fill(storage).await;
    for garbage in [b"".as_slice(), b"\0", b"' OR 1=1 --", b"../../etc/passwd", &[0xff; 300]] {
        let cursor = Cursor(Bytes::copy_from_slice(garbage));
        for listed in
            [storage.responses(Some(&cursor), 5).await.err(), storage.aliases(Some(&cursor), 5).await.err()]
        {
            assert!(listed.is_none_or(|error| error.kind() == StorageErrorKind::Invalid));
        }
    }
    assert_eq!(once(all_responses(storage, 100).await.iter().map(|head| head.id)), stored);
}

/// "How much is stored."
pub async fn usage_counts_responses_and_aliases(fixture: Fixture) {
    let storage = &*fixture.storage;
    let mut bytes = storage.usage().await.expect("usage").bytes;
    for number in 1..=5 {
        let key = key(&format!("counted-{number}"));
        store(storage, head(&key, SampleBody { seed: number, len: 100_000 })).await;
        put_alias(storage, alias(&key, &key, "moved")).await;
        let usage = storage.usage().await.expect("usage");
        assert_eq!((usage.responses, usage.aliases), (number, number));
        assert!(usage.bytes >= bytes + 100_000, "bodies are counted: {} after {bytes}", usage.bytes);
        bytes = usage.bytes;
    }
    storage.remove(&key("counted-1")).await.expect("remove");
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (4, 4));
}
