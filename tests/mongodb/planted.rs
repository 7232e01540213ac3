//! What somebody else who can write to the collections plants, what another version wrote, and whose clock counts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use larder::clock::{Clock, SystemClock};
use larder::entry::{Alias, BodyEnd, StoredBody, StoredHead, StoredResponse, codec};
use larder::storage::{DynStorage, Published, StorageErrorKind};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, doc};

use crate::server::{KINDS, Scratch};
use crate::{head, key, read, store};

#[tokio::test]
async fn maintenance_ends_with_any_planted_documents() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true").await.unwrap();
        let documents = scratch.collection(kind).await;
        let long_ago = DateTime::from_millis(0);
        let planted = (0..1200).map(|number| {
            let name = format!("planted-{number}");
            match number % 3 {
                0 => {
                    doc! { "key": name, "variant": "x", "kind": "removal", "removed": 1_i64, "at": long_ago }
                }
                1 => doc! { "key": name, "variant": "x", "kind": "response", "usable_until": long_ago },
                _ => doc! { "key": name, "variant": "x", "kind": "alias", "fence": -1_i64 },
            }
        });
        documents.insert_many(planted).await.unwrap();
        let more = (0..600).map(|number| {
            let name = format!("more-{number}");
            doc! { "key": name, "variant": "x", "kind": "response", "fence": 1_i64, "usable_until": long_ago }
        });
        documents.insert_many(more).await.unwrap();
        let work = async {
            storage.maintain(SystemClock.now()).await.unwrap();
            storage.remove(&key("a")).await.unwrap();
            storage.clear(None).await.unwrap();
        };
        tokio::time::timeout(Duration::from_secs(60), work).await.expect("bounded");
        let _ = store(&*storage, head("a", "text/plain"), &[1; 200_000]).await.unwrap();
        let found = storage.lookup(&key("a")).await.unwrap().responses.remove(0);
        assert_eq!(read(&*storage, &found.head).await.unwrap().len(), 200_000);
    }
}

/// The checksum of a chunk is that of its place: it does not pass for one of another body.
#[tokio::test]
async fn a_chunk_of_another_body_in_its_place_is_an_error() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true&chunk_size=8KiB&inline_threshold=4KiB").await.unwrap();
        let chunks = scratch.collection(&format!("{kind}.chunks")).await;
        let mut heads = Vec::new();
        for (name, byte) in [("mine", 1), ("other", 2)] {
            let _ = store(&*storage, head(name, "text/plain"), &[byte; 20_000]).await.unwrap();
            heads.push(storage.lookup(&key(name)).await.unwrap().responses.remove(0).head);
        }
        let at = |head: &StoredHead| doc! { "files_id": head.id.to_string(), "n": 1 };
        let other = chunks.find_one(at(&heads[1])).await.unwrap().expect("a chunk");
        let planted = doc! { "data": other.get("data").unwrap(), "sum": other.get("sum").unwrap() };
        chunks.update_one(at(&heads[0]), doc! { "$set": planted }).await.unwrap();
        let error = read(&*storage, &heads[0]).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Corrupt, "{error}");
        assert_eq!(read(&*storage, &heads[1]).await.unwrap(), [2; 20_000]);
    }
}

/// Ids of chunks are made with the writer's clock, so they say nothing here.
#[tokio::test]
async fn a_writer_at_work_whose_clock_is_years_behind_is_left_alone() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true").await.unwrap();
        let fence = storage.lookup(&key("slow")).await.unwrap().fence;
        let mut writer = storage.begin(head("slow", "text/plain"), fence).await.unwrap();
        writer.write(Bytes::from(vec![7; 2_000_000])).await.unwrap();
        let chunks = scratch.collection(&format!("{kind}.chunks")).await;
        let mut aged = 0;
        while let Some(mut chunk) = next_young(&chunks).await {
            chunks.delete_one(doc! { "_id": chunk.get_object_id("_id").unwrap() }).await.unwrap();
            let mut id = ObjectId::new().bytes();
            id[..4].fill(0);
            chunk.insert("_id", ObjectId::from_bytes(id));
            chunks.insert_one(chunk).await.unwrap();
            aged += 1;
        }
        assert!(aged > 3, "some of the body is on the server");
        let other = scratch.open(kind, "strict=true").await.unwrap();
        assert_eq!(other.maintain(SystemClock.now()).await.unwrap().orphans, 0);
        writer.write(Bytes::from(vec![7; 10])).await.unwrap();
        assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
        let found = storage.lookup(&key("slow")).await.unwrap().responses.remove(0);
        assert_eq!(read(&*storage, &found.head).await.unwrap().len(), 2_000_010);
    }
}

async fn next_young(chunks: &mongodb::Collection<Document>) -> Option<Document> {
    let hour = ObjectId::parse_str("100000000000000000000000").unwrap();
    chunks.find_one(doc! { "_id": { "$gt": hour } }).await.unwrap()
}

fn alias(text: &'static str) -> Alias {
    let mut head = StoredHead::new(key("moved"), StatusCode::FOUND);
    head.usable_until = SystemClock.now().plus_millis(3_600_000);
    let body = StoredBody::Inline(Bytes::from_static(text.as_bytes()));
    Alias {
        response: StoredResponse { head: Arc::new(head), body, invalidated: false },
        target: key("target"),
    }
}

async fn put_alias(storage: &dyn DynStorage, alias: Alias) {
    let fence = storage.lookup(&key("moved")).await.unwrap().fence;
    assert_eq!(storage.put_alias(alias, fence).await.unwrap(), Published::Stored);
}

#[tokio::test]
async fn an_alias_of_another_version_is_a_miss_and_stays() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true").await.unwrap();
        put_alias(&*storage, alias("theirs")).await;
        let documents = scratch.collection(kind).await;
        let stored = documents.find_one(doc! { "kind": "alias" }).await.unwrap().unwrap();
        let mut exact = stored.get_binary_generic("exact").unwrap().clone();
        exact[3] = 0xfe;
        let exact = Binary { subtype: BinarySubtype::Generic, bytes: exact };
        let same = doc! { "_id": stored.get_object_id("_id").unwrap() };
        let unread = async || {
            assert!(storage.lookup(&key("moved")).await.unwrap().alias.is_none());
            assert!(storage.aliases(None, 10).await.unwrap().items.is_empty());
            storage.maintain(SystemClock.now()).await.unwrap();
            let found = documents.find_one(same.clone()).await.unwrap();
            assert_eq!(found.expect("it is still there").get("exact"), Some(&exact.clone().into()));
        };
        // In the place of this version's, and in that of their own.
        documents.update_one(same.clone(), doc! { "$set": { "exact": exact.clone() } }).await.unwrap();
        unread().await;
        documents.update_one(same.clone(), doc! { "$set": { "variant": "alias/254" } }).await.unwrap();
        unread().await;
        put_alias(&*storage, alias("ours")).await;
        assert!(storage.lookup(&key("moved")).await.unwrap().alias.is_some());
        assert_eq!(documents.count_documents(doc! { "kind": "alias" }).await.unwrap(), 2);
        assert_ne!(codec::VERSION, 254);
    }
}
