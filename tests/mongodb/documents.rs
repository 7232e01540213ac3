use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue};
use larder::entry::{BodyEnd, codec};
use larder::storage::{Published, Storage, StorageErrorKind};
use mongodb::bson::{Bson, doc};

use crate::server::{KINDS, Scratch};
use crate::{head, key, store};

#[tokio::test]
async fn a_response_can_be_read_and_queried_by_people() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.mongo().decode(true).connect().await.unwrap();
    let mut json = head("json", "application/json; charset=utf-8");
    json.headers.append("x-twice", HeaderValue::from_static("1"));
    json.headers.append("x-raw", HeaderValue::from_bytes(b"\xff").unwrap());
    json.headers.append("x-twice", HeaderValue::from_static("2"));
    let _ = store(&storage, json.clone(), br#"{"name": "larder", "tags": [1, 2.5, null]}"#).await.unwrap();
    let _ = store(&storage, head("text", "text/plain"), b"hello").await.unwrap();

    let documents = scratch.collection("larder").await;
    let found = documents.find_one(doc! { "url": "https://example.com/json", "status": 200 }).await.unwrap();
    let found = found.expect("url and status can be asked for");
    assert_eq!(found.get_str("method").unwrap(), "GET");
    assert_eq!(
        found.get_datetime("response_time").unwrap().timestamp_millis(),
        json.response_time.as_millis()
    );
    let names: Vec<_> = found
        .get_array("headers")
        .unwrap()
        .iter()
        .map(|field| field.as_document().unwrap().get_str("name").unwrap().to_owned())
        .collect();
    assert_eq!(names, json.headers.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>());
    let raw = found.get_array("headers").unwrap().iter().filter_map(Bson::as_document);
    assert!(
        raw.filter(|field| field.get_binary_generic("value").is_ok()).count() == 1,
        "no text stays bytes"
    );

    let by_content = documents.find_one(doc! { "json.tags": 2.5 }).await.unwrap();
    assert_eq!(by_content.unwrap().get_document("json").unwrap().get_str("name").unwrap(), "larder");
    assert!(documents.find_one(doc! { "text": "hello" }).await.unwrap().is_some());
}

#[tokio::test]
async fn indexes_are_made_once_and_the_ttl_follows_the_options() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let ttl = async |collection: &str| -> Vec<Option<Duration>> {
        let indexes = scratch.collection(collection).await.list_indexes().await.unwrap();
        let indexes: Vec<_> = indexes.try_collect().await.unwrap();
        indexes
            .into_iter()
            .filter_map(|index| index.options)
            .filter(|options| options.name.as_deref() == Some("usable_until"))
            .map(|options| options.expire_after)
            .collect()
    };
    let hour = Some(Duration::from_secs(3600));
    for _ in 0..2 {
        scratch.mongo().strict().connect().await.unwrap();
        assert_eq!((ttl("larder").await, ttl("larder.chunks").await), (vec![hour], vec![hour]));
    }
    scratch.mongo().ttl_margin(Duration::from_secs(5)).strict().connect().await.unwrap();
    assert_eq!(ttl("larder").await, [Some(Duration::from_secs(5))]);
    scratch.mongo().ttl_margin(Duration::from_millis(5001)).strict().connect().await.unwrap();
    assert_eq!(ttl("larder").await, [Some(Duration::from_secs(6))], "never earlier than the margin");
    scratch.mongo().ttl(false).strict().connect().await.unwrap();
    assert_eq!(ttl("larder").await, [None]);
    let unique = scratch.collection("larder").await.list_indexes().await.unwrap();
    let unique: Vec<_> = unique.try_collect().await.unwrap();
    let unique = unique.iter().find(|index| index.keys == doc! { "key": 1, "variant": 1 }).unwrap();
    assert_eq!(unique.options.as_ref().unwrap().unique, Some(true));
}

#[tokio::test]
async fn the_server_deletes_what_is_no_longer_usable() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.mongo().ttl_margin(Duration::from_secs(0)).connect().await.unwrap();
    let mut gone = head("gone", "text/plain");
    gone.usable_until = gone.response_time.plus_millis(-1000);
    let _ = store(&storage, gone, &[1; 300_000]).await.unwrap();
    let _ = store(&storage, head("stays", "text/plain"), &[2; 300_000]).await.unwrap();
    let chunks = scratch.collection("larder.chunks").await;
    for _ in 0..300 {
        let left = chunks.distinct("files_id", doc! {}).await.unwrap().len();
        if left == 1 && storage.lookup(&key("gone")).await.unwrap().responses.is_empty() {
            assert_eq!(storage.lookup(&key("stays")).await.unwrap().responses.len(), 1);
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the server's TTL did not delete it within a minute");
}

#[tokio::test]
async fn caches_in_one_database_know_nothing_of_each_other() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let one = scratch.gridfs().collection("one").bucket("fs").connect().await.unwrap();
    let two = scratch.gridfs().collection("two").bucket("fs").connect().await.unwrap();
    for storage in [&one, &two] {
        let _ = store(storage, head("same", "text/plain"), &[1; 200_000]).await.unwrap();
    }
    one.clear(None).await.unwrap();
    one.maintain(head("x", "text/plain").usable_until.plus_millis(-1)).await.unwrap();
    let found = two.lookup(&key("same")).await.unwrap().responses.remove(0);
    assert_eq!(crate::read(&two, &found.head).await.unwrap().len(), 200_000);
}

#[tokio::test]
async fn another_layout_and_foreign_documents_are_left_untouched() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.mongo().strict().connect().await.unwrap();
    let _ = store(&storage, head("old", "text/plain"), b"x").await.unwrap();
    let documents = scratch.collection("larder").await;
    documents.update_one(doc! { "kind": "namespace" }, doc! { "$set": { "schema": 4_i64 } }).await.unwrap();
    let error = scratch.mongo().strict().connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
    let error = storage.lookup(&key("old")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
    assert!(storage.clear(None).await.is_err());
    assert_eq!(documents.count_documents(doc! { "kind": "response" }).await.unwrap(), 1);

    let foreign = scratch.collection("customers").await;
    foreign.insert_one(doc! { "name": "Ann" }).await.unwrap();
    let error = scratch.mongo().collection("customers").strict().connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
    assert_eq!(foreign.list_index_names().await.unwrap().len(), 1, "no index was made");
}

#[tokio::test]
async fn a_dropped_database_is_made_anew_and_refuses_the_fills_from_before() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.mongo().strict().connect().await.unwrap();
    let fence = storage.lookup(&key("x")).await.unwrap().fence;
    scratch.database().await.drop().await.unwrap();
    let writer = storage.begin(head("x", "text/plain"), fence).await.unwrap();
    let published = larder::storage::BodyWriter::publish(writer, Default::default()).await.unwrap();
    assert_eq!(published, Published::Superseded);
    assert_eq!(store(&storage, head("x", "text/plain"), b"x").await.unwrap(), Published::Stored);
}

/// The heart of the fences: a document that a dead fill left behind is never seen.
#[tokio::test]
async fn what_a_dead_fill_wrote_after_a_removal_is_never_visible() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.mongo().strict().connect().await.unwrap();
    let documents = scratch.collection("larder").await;
    let _ = store(&storage, head("x", "text/plain"), b"x").await.unwrap();
    let written = documents.find_one(doc! { "kind": "response" }).await.unwrap().unwrap();
    let remains = async || {
        documents.insert_one(&written).await.unwrap();
        assert!(storage.lookup(&key("x")).await.unwrap().responses.is_empty());
        assert!(storage.responses(None, 10).await.unwrap().items.is_empty());
        let _ = storage.maintain(head("x", "").usable_until.plus_millis(-3_600_000)).await.unwrap();
    };
    storage.remove(&key("x")).await.unwrap();
    remains().await;
    storage.clear(None).await.unwrap();
    remains().await;
    assert_eq!(
        documents.count_documents(doc! { "kind": "response" }).await.unwrap(),
        0,
        "maintenance sweeps"
    );
}

/// "`TooLarge` when the head with the trailer fields is too long to be read again."
#[tokio::test]
async fn trailers_over_the_limit_are_too_large_and_nothing_is_stored() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true").await.unwrap();
        for len in [10, 300_000] {
            let name = format!("trailers-{len}");
            let mut trailers = HeaderMap::new();
            for _ in 0..=codec::MAX_FIELDS {
                trailers.append("x", HeaderValue::from_static("y"));
            }
            let fence = storage.lookup(&key(&name)).await.unwrap().fence;
            let mut writer = storage.begin(head(&name, "text/plain"), fence).await.unwrap();
            writer.write(Bytes::from(vec![1; len])).await.unwrap();
            let end = BodyEnd { trailers: Some(trailers), ..BodyEnd::default() };
            let error = writer.publish(end).await.unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
        }
        let stored =
            async |name: String| scratch.collection(&name).await.count_documents(doc! {}).await.unwrap();
        assert_eq!(stored(kind.to_owned()).await, 1, "the namespace's document");
        assert_eq!(stored(format!("{kind}.chunks")).await, 0);
    }
}
