//! What stands in the table: readable, isolated, expiring; and what others put there.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use larder::clock::Timestamp;
use larder::key::{Selecting, SelectingField, SelectingValue};
use larder::storage::{Keyspace, Storage, StorageErrorKind};

use crate::samples::{USABLE_UNTIL, body, freshen, head, is_whole, key, only, store};
use crate::server::{self, builder, client, of_kind, put, table, text};

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[tokio::test]
async fn attributes_can_be_read_by_people() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    let head = head("page?q=1");
    store(&storage, &head, &body(12)).await;
    let items = server::items(&client, &table, &head).await;
    let item = of_kind(&items, "response")[0];
    for (name, expected) in [
        ("url", text("https://a.example/page?q=1")),
        ("method", text("GET")),
        ("status", number(200)),
        ("content_type", text("text/plain")),
        ("length", number(12)),
        ("request_time", text("2023-11-14T22:13:20.000Z")),
        ("response_time", text("2023-11-14T22:13:21.000Z")),
        ("usable_until", number(USABLE_UNTIL.as_millis())),
        ("id", text(&head.id.to_string())),
    ] {
        assert_eq!(item.get(name), Some(&expected), "{name}");
    }
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let mut storages = Vec::new();
    for (number, namespace) in ["a", "a.b", "ab", "A"].into_iter().enumerate() {
        let storage = builder(&client, &table).namespace(namespace).connect().await.unwrap();
        store(&storage, &head("one"), &body(100_000 + number)).await;
        storages.push(storage);
    }
    storages[0].remove(&key("one")).await.unwrap();
    store(&storages[0], &head("two"), &body(5)).await;
    storages[0].clear(None).await.unwrap();
    storages[0].maintain(Timestamp::from_secs(1_900_000_000)).await.unwrap();
    assert_eq!(storages[0].usage().await.unwrap().responses, 0);
    for (number, storage) in storages.iter().enumerate().skip(1) {
        is_whole(storage, "one", &body(100_000 + number)).await;
        let usage = storage.usage().await.unwrap();
        assert_eq!((usage.responses, usage.aliases), (1, 0));
        assert!(usage.bytes > 100_000);
        assert_eq!(storage.responses(None, 10).await.unwrap().items.len(), 1);
    }
}

#[tokio::test]
async fn items_expire_after_their_usable_time_and_parts_later() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let margin = Duration::from_secs(100);
    let storage = builder(&client, &table).ttl_margin(margin).connect().await.unwrap();
    let head = head("a");
    store(&storage, &head, &body(300_000)).await;
    let expires = |items: &[server::Item], kind: &str| -> Vec<i64> {
        let items = of_kind(items, kind);
        items.iter().map(|item| item["expires"].as_n().unwrap().parse().unwrap()).collect()
    };
    let items = server::items(&client, &table, &head).await;
    assert_eq!(expires(&items, "response"), [4_000_000_100]);
    let before = expires(&items, "chunk");
    assert!(before.len() == 2 && before.iter().all(|second| *second > 4_000_000_100), "{before:?}");

    // Freshened by a little the head moves alone; by more, the chunks move ahead of it.
    for (later, chunks_move) in [(3600, false), (30 * 24 * 3600, true)] {
        let mut fresh = (*only(&storage, "a").await.head).clone();
        fresh.usable_until = USABLE_UNTIL.plus_millis(later * 1000);
        assert!(freshen(&storage, fresh).await);
        let items = server::items(&client, &table, &head).await;
        let second = 4_000_000_100 + later;
        assert_eq!(expires(&items, "response"), [second]);
        let chunks = expires(&items, "chunk");
        assert!(chunks.iter().all(|chunk| *chunk > second), "{chunks:?}");
        assert_eq!(chunks != before, chunks_move);
        is_whole(&storage, "a", &body(300_000)).await;
    }

    let mut forever = (*only(&storage, "a").await.head).clone();
    forever.usable_until = Timestamp::MAX;
    assert!(freshen(&storage, forever).await);
    for item in server::items(&client, &table, &head).await {
        assert!(!item.contains_key("expires"), "usable for ever: {item:?}");
    }
}

#[tokio::test]
async fn without_ttl_nothing_expires() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).ttl(false).connect().await.unwrap();
    store(&storage, &head("a"), &body(300_000)).await;
    for item in server::items(&client, &table, &head("a")).await {
        assert!(!item.contains_key("expires"), "{item:?}");
    }
}

/// The table's own deletion takes items one by one, in any order.
#[tokio::test]
async fn a_chunk_deleted_early_is_an_error_and_freshening_notices() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(600_000)).await;
    let found = only(&storage, "a").await;
    let items = server::items(&client, &table, &found.head).await;
    let gone = of_kind(&items, "chunk")[2];
    let delete = client.delete_item().table_name(&table).key("pk", gone["pk"].clone());
    delete.key("sk", gone["sk"].clone()).send().await.unwrap();
    let (bytes, error) = crate::samples::read(&storage, &found).await;
    assert_eq!(error.unwrap().kind(), StorageErrorKind::Missing);
    assert!(body(600_000).starts_with(&bytes));
    let mut fresh = (*found.head).clone();
    fresh.usable_until = fresh.usable_until.plus_millis(90 * 24 * 3_600_000);
    assert!(!freshen(&storage, fresh).await);
    assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty());
}

/// What one chunk holds is another's bytes with their own checksum: not one of them leaves.
#[tokio::test]
async fn a_chunk_in_the_place_of_another_is_corrupt() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(600_000)).await;
    let found = only(&storage, "a").await;
    let items = server::items(&client, &table, &found.head).await;
    let (first, mut second) = (of_kind(&items, "chunk")[0], of_kind(&items, "chunk")[1].clone());
    second.insert("sk".to_owned(), first["sk"].clone());
    put(&client, &table, second).await;
    let error = storage.open(&found.head).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Corrupt, "{error}");
}

/// An item of one key copied below another is not that key's response.
#[tokio::test]
async fn an_entry_of_another_key_is_a_miss() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(10)).await;
    let from = head("a");
    for mut item in server::items(&client, &table, &from).await {
        item.insert("pk".to_owned(), text(&format!("larder/{}", key("b").hex_digest())));
        put(&client, &table, item).await;
    }
    assert!(storage.lookup(&key("b")).await.unwrap().responses.is_empty());
    store(&storage, &head("b"), &body(20)).await;
    is_whole(&storage, "b", &body(20)).await;
}

/// Attributes of other types, none at all, and items of others.
#[tokio::test]
async fn foreign_items_are_a_miss_and_can_be_cleared() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(300_000)).await;
    let originals = server::items(&client, &table, &head("a")).await;
    let junk = [
        AttributeValue::Bool(true),
        text("junk"),
        number(-1),
        AttributeValue::L(vec![]),
        AttributeValue::Null(true),
    ];
    let names =
        ["head", "id", "chunks", "published", "kind", "generation", "usable_until", "variant", "checksum"];
    for original in &originals {
        for name in names.iter().filter(|name| original.contains_key(**name)) {
            for value in junk.iter().map(Some).chain([None]) {
                let mut item = original.clone();
                match value {
                    Some(value) => item.insert((*name).to_owned(), value.clone()),
                    None => item.remove(*name),
                };
                put(&client, &table, item).await;
                let found = storage.lookup(&key("a")).await.unwrap().responses;
                if let Some(response) = found.first() {
                    let (bytes, error) = crate::samples::read(&storage, response).await;
                    assert!(error.is_some() || bytes == body(300_000), "{name} {value:?}");
                }
                storage.responses(None, 10).await.unwrap();
                storage.usage().await.unwrap();
                put(&client, &table, original.clone()).await;
            }
        }
    }
    for sk in ["head#", "~chunk#", "~chunk#x#y", "alias", "fence", "zzz", "0"] {
        let item = [("pk", originals[0]["pk"].clone()), ("sk", text(sk))];
        put(&client, &table, item.map(|(name, value)| (name.to_owned(), value)).into()).await;
    }
    storage.lookup(&key("a")).await.unwrap();
    storage.maintain(Timestamp::from_secs(1_900_000_000)).await.unwrap();
    storage.remove(&key("a")).await.unwrap();
    storage.clear(Some(Keyspace::Responses)).await.unwrap();
    store(&storage, &head("a"), &body(300_000)).await;
    is_whole(&storage, "a", &body(300_000)).await;
}

/// A 304 can name other selecting fields; what is published with these then replaces it.
#[tokio::test]
async fn a_variant_that_moved_is_replaced_where_it_stands() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(300_000)).await;
    let mut moved = (*only(&storage, "a").await.head).clone();
    let value = SelectingValue::Plain("de".into());
    let fields = vec![SelectingField { name: http::header::ACCEPT_LANGUAGE, value }];
    moved.selecting = Selecting { any: false, fields };
    assert!(freshen(&storage, moved.clone()).await);
    let mut newer = head("a");
    newer.selecting = moved.selecting;
    store(&storage, &newer, &body(10)).await;
    assert_eq!(only(&storage, "a").await.head.id, newer.id);
    let items = server::items(&client, &table, &newer).await;
    assert_eq!((of_kind(&items, "response").len(), of_kind(&items, "chunk").len()), (1, 0));
}

/// Beside a large head a small body stands in chunks, and a head that fits no item is refused.
#[tokio::test]
async fn heads_near_the_limit_of_an_item() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).inline_threshold(350 << 10).connect().await.unwrap();
    for (len, fits) in [(1_000, true), (200_000, true), (395_000, true), (420_000, false)] {
        let mut head = head("a");
        for _ in 0..len / 1000 {
            head.headers.append("x-long", "v".repeat(980).parse().unwrap());
        }
        let stored = crate::samples::try_store(&storage, &head, &body(300_000)).await;
        if fits {
            assert_eq!(stored.unwrap(), larder::storage::Published::Stored);
            is_whole(&storage, "a", &body(300_000)).await;
        } else {
            assert_eq!(stored.unwrap_err().kind(), StorageErrorKind::TooLarge);
            is_whole(&storage, "a", &body(300_000)).await;
        }
    }
}
