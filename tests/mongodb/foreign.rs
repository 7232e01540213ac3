//! What others put where the storages' own documents stand.

use larder::clock::{Clock, SystemClock};
use larder::entry::StoredBody;
use larder::storage::{DynStorage, Published, StorageErrorKind};
use mongodb::Collection;
use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};

use crate::server::{KINDS, Scratch};
use crate::{head, key, layered, read, store};

fn junk() -> [Bson; 8] {
    [
        Bson::Null,
        Bson::Boolean(true),
        Bson::String("junk".to_owned()),
        Bson::Int32(-1),
        Bson::Int64(i64::MAX),
        Bson::Array(vec![Bson::Null]),
        Bson::Document(doc! { "a": 1 }),
        Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 100] }),
    ]
}

/// Whatever is found under the key is either right or an error.
async fn is_right_or_an_error(storage: &dyn DynStorage, body: &[u8], what: &str) {
    let found = storage.lookup(&key("a")).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    for response in found.responses {
        let right = match &response.body {
            StoredBody::Inline(found) => found == body,
            _ => read(storage, &response.head).await.map_or(true, |found| found == body),
        };
        assert!(right, "{what}: another body");
    }
    storage.responses(None, 10).await.unwrap();
    storage.usage().await.unwrap();
}

/// One field of a document after the other holds something else, or is gone; each time of a response stored anew,
/// for what is found to be garbage is removed.
async fn garble(storage: &dyn DynStorage, documents: &Collection<Document>, asked: Document, len: usize) {
    let body: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    let anew = async || {
        assert_eq!(store(storage, head("a", "text/plain"), &body).await.unwrap(), Published::Stored);
        documents.find_one(asked.clone()).await.unwrap().expect("a document")
    };
    let names: Vec<_> = anew().await.keys().filter(|name| *name != "_id").cloned().collect();
    for name in names {
        for value in junk().into_iter().map(Some).chain([None]) {
            let original = anew().await;
            let what = format!("{name} is {value:?}");
            let change = match value {
                Some(value) => doc! { "$set": { &name: value } },
                None => doc! { "$unset": { &name: "" } },
            };
            let this = doc! { "_id": original.get("_id").unwrap() };
            documents.update_one(this, change).await.unwrap();
            is_right_or_an_error(storage, &body, &what).await;
        }
    }
}

#[tokio::test]
async fn garbled_documents_are_a_miss_or_an_error_and_never_another_body() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true&chunk_size=8KiB&inline_threshold=4KiB").await.unwrap();
        let (heads, chunks) =
            (scratch.collection(kind).await, scratch.collection(&format!("{kind}.chunks")).await);
        garble(&*storage, &heads, doc! { "kind": "response" }, 1000).await;
        garble(&*storage, &heads, doc! { "kind": "response" }, 20_000).await;
        garble(&*storage, &chunks, doc! { "n": 1 }, 20_000).await;
        if kind == "gridfs" {
            garble(&*storage, &scratch.collection("gridfs.files").await, doc! {}, 20_000).await;
        }
    }
}

#[tokio::test]
async fn foreign_documents_under_a_key_are_passed_over_and_can_be_cleared() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true").await.unwrap();
        let documents = scratch.collection(kind).await;
        let _ = store(&*storage, head("a", "text/plain"), &[1; 200_000]).await.unwrap();
        let digest = key("a").hex_digest();
        for (number, name) in ["response", "alias", "removal", "group", "else"].into_iter().enumerate() {
            let variant = format!("foreign-{number}");
            let foreign = [
                doc! { "_id": &variant, "key": &digest, "variant": &variant, "kind": name },
                doc! { "key": &digest, "variant": format!("{variant}-"), "kind": name, "bytes": 1.5 },
                doc! { "_id": -1_i32 - i32::try_from(number).unwrap(), "variant": &variant, "kind": name },
            ];
            documents.insert_many(foreign).await.unwrap();
        }
        storage.lookup(&key("a")).await.unwrap();
        // Page by page the one response is found among them.
        let (mut found, mut after) = (0, None);
        loop {
            let page = storage.responses(after.as_ref(), 1).await.unwrap();
            found += page.items.len();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, 1);
        storage.aliases(None, 100).await.unwrap();
        storage.usage().await.unwrap();
        let _ = storage.maintain(SystemClock.now()).await.unwrap();
        storage.remove(&key("a")).await.unwrap();
        let _ = store(&*storage, head("b", "text/plain"), &[2; 200_000]).await.unwrap();
        let found = storage.lookup(&key("b")).await.unwrap().responses.remove(0);
        assert_eq!(read(&*storage, &found.head).await.unwrap().len(), 200_000);
        storage.clear(None).await.unwrap();
        let _ = store(&*storage, head("a", "text/plain"), &[3; 200_000]).await.unwrap();
        let found = storage.lookup(&key("a")).await.unwrap().responses.remove(0);
        assert!(read(&*storage, &found.head).await.unwrap() == [3; 200_000]);
    }
}

#[tokio::test]
async fn a_newer_layout_is_left_alone_and_callers_are_answered() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "strict=true").await.unwrap();
        let _ = store(&*storage, head("a", "text/plain"), &[1; 200_000]).await.unwrap();
        let documents = scratch.collection(kind).await;
        let newer = doc! { "$set": { "schema": 4_i64 } };
        documents.update_one(doc! { "kind": "namespace" }, newer).await.unwrap();
        let all =
            async |name: String| scratch.collection(&name).await.count_documents(doc! {}).await.unwrap();
        let counted = async || (all(kind.to_owned()).await, all(format!("{kind}.chunks")).await);
        let before = counted().await;
        for error in [
            storage.lookup(&key("a")).await.unwrap_err(),
            store(&*storage, head("b", "text/plain"), &[1; 200_000]).await.unwrap_err(),
            storage.clear(None).await.unwrap_err(),
            scratch.open(kind, "strict=true").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
        }
        assert_eq!(counted().await, before);
        layered::is_no_use_and_no_harm(storage, &["incompatible"]).await;
    }
}
