//! What somebody else who can write to the table plants, and what another version of larder wrote.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use http::StatusCode;
use larder::clock::Timestamp;
use larder::entry::{Alias, EntryId, StoredBody, StoredHead, StoredResponse};
use larder::storage::{DynamoStorage, Published, Storage};

use crate::samples::{USABLE_UNTIL, body, freshen, head, is_whole, key, only, store};
use crate::server::{self, builder, client, of_kind, put, table, text};

#[tokio::test]
async fn a_planted_count_of_chunks_costs_no_more_than_what_is_there() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    for work in ["replaced", "freshened", "entry", "removed", "maintained"] {
        let stored = head(work);
        store(&storage, &stored, &body(600_000)).await;
        let items = server::items(&client, &table, &stored).await;
        let mut item = of_kind(&items, "response")[0].clone();
        item.insert("chunks".to_owned(), AttributeValue::N(u32::MAX.to_string()));
        item.insert("chunks_expire".to_owned(), AttributeValue::N("1".to_owned()));
        put(&client, &table, item).await;
        let done = async {
            storage.usage().await.unwrap();
            match work {
                "replaced" => {
                    let mut again = stored.clone();
                    again.id = EntryId::random();
                    store(&storage, &again, &body(600_000)).await;
                    storage.remove(&key(work)).await.unwrap();
                }
                "freshened" => drop(freshen(&storage, (*only(&storage, work).await.head).clone()).await),
                "entry" => drop(storage.remove_entry(&key(work), stored.id).await.unwrap()),
                "removed" => drop(storage.remove(&key(work)).await.unwrap()),
                _ => drop(storage.maintain(USABLE_UNTIL.plus_millis(1)).await.unwrap()),
            }
        };
        tokio::time::timeout(Duration::from_secs(20), done).await.unwrap_or_else(|_| panic!("{work}"));
        let items = server::items(&client, &table, &stored).await;
        assert!(work == "freshened" || of_kind(&items, "chunk").is_empty(), "{work}: the body is gone");
        let mut again = stored;
        again.id = EntryId::random();
        store(&storage, &again, &body(10)).await;
        is_whole(&storage, work, &body(10)).await;
    }
}

/// A removal that `maintain` forgets, by a clock that is days ahead, is no leave for a fill from before it.
#[tokio::test]
async fn a_removal_that_maintenance_forgets_still_refuses_the_fill_under_way() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    let other = builder(&client, &table).connect().await.unwrap();
    let fence = storage.lookup(&key("a")).await.unwrap().fence;
    other.remove(&key("a")).await.unwrap();
    other.maintain(Timestamp::from_secs(3_900_000_000)).await.unwrap();
    let items = server::items(&client, &table, &head("a")).await;
    assert!(of_kind(&items, "fence").is_empty(), "it is forgotten");
    let writer = storage.begin(head("a"), fence).await.unwrap();
    let published = larder::storage::BodyWriter::publish(writer, larder::entry::BodyEnd::default()).await;
    assert_eq!(published.unwrap(), Published::Superseded);
}

fn alias(text: &'static str) -> Alias {
    let mut head = StoredHead::new(key("moved"), StatusCode::FOUND);
    head.usable_until = USABLE_UNTIL;
    let body = StoredBody::Inline(Bytes::from_static(text.as_bytes()));
    Alias {
        response: StoredResponse { head: Arc::new(head), body, invalidated: false },
        target: key("target"),
    }
}

async fn put_alias(storage: &DynamoStorage, alias: Alias) {
    let fence = storage.lookup(&key("moved")).await.unwrap().fence;
    assert_eq!(storage.put_alias(alias, fence).await.unwrap(), Published::Stored);
}

#[tokio::test]
async fn an_alias_of_another_version_is_a_miss_and_stays() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    let ours = alias("theirs");
    put_alias(&storage, ours.clone()).await;
    let aliases = async || {
        let items = server::items(&client, &table, &ours.response.head).await;
        of_kind(&items, "alias").into_iter().cloned().collect::<Vec<_>>()
    };
    let mut theirs = aliases().await.remove(0);
    // In the place of this version's, and in that of their own.
    server::change(&mut theirs, "entry", |entry| entry[3] = 0xfe);
    put(&client, &table, theirs.clone()).await;
    assert!(storage.lookup(&key("moved")).await.unwrap().alias.is_none());
    assert_eq!(aliases().await, [theirs.clone()]);
    theirs.insert("sk".to_owned(), text("alias#254"));
    put(&client, &table, theirs.clone()).await;
    storage.maintain(Timestamp::from_secs(1_700_000_000)).await.unwrap();
    put_alias(&storage, alias("ours")).await;
    let found = storage.lookup(&key("moved")).await.unwrap().alias;
    assert_eq!(found.expect("this version's").target, key("target"));
    assert!(aliases().await.contains(&theirs), "it is still there");
}
