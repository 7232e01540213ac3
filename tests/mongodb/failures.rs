use std::time::{Duration, Instant};

use larder::storage::{GridFsStorage, MongoStorage, Storage, StorageErrorKind};
use mongodb::Client;
use mongodb::bson::doc;

use crate::server::{KINDS, Own, Scratch};
use crate::{head, key, layered, read, store};

/// Nothing listens on port 1.
const NOWHERE: &str = "mongodb://ann:s3cret@127.0.0.1:1/web?serverSelectionTimeoutMS=200";

#[tokio::test]
async fn an_absent_server_is_told_when_asked_strictly_and_tolerated_otherwise() {
    let error = MongoStorage::builder().url(NOWHERE).strict().connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    let told = format!("{error}");
    assert!(told.contains("127.0.0.1:1/web.larder") && !told.contains("s3cret"), "{told}");
    let storage = GridFsStorage::connect(&format!("gridfs+{NOWHERE}")).await.unwrap();
    assert_eq!(storage.lookup(&key("x")).await.unwrap_err().kind(), StorageErrorKind::Unavailable);
}

#[tokio::test]
async fn options_that_make_no_sense_are_told() {
    for url in ["mongodb://", "mongodb://h/db?decode=maybe", "mongodb://h/db?chunk_size=big", "http://h/db"] {
        let error = MongoStorage::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{url}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_right_are_denied() {
    let Some(own) = Own::start("auth") else { return };
    let scratch = Scratch::on(own.url.clone());
    let admin = Client::with_uri_str(&own.url).await.unwrap();
    let roles = doc! { "role": "read", "db": &scratch.name };
    let reader = doc! { "createUser": "reader", "pwd": "x", "roles": [roles] };
    admin.database(&scratch.name).run_command(reader).await.unwrap();
    let source = format!("authSource={}", scratch.name);
    let limited = own.url.replace("root:s3cret", "reader:x").replace("authSource=admin", &source);
    let wrong = Scratch { url: own.url.replace("s3cret", "wrong"), ..scratch.clone() };
    let limited = Scratch { url: limited, ..scratch.clone() };
    for kind in KINDS {
        let error = wrong.open(kind, "strict=true").await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
        let told = format!("{error} {error:?}");
        assert!(!told.contains("wrong@") && !told.contains(":wrong"), "{told}");
        layered::is_no_use_and_no_harm(wrong.open(kind, "").await.unwrap(), &["denied"]).await;

        let storage = scratch.open(kind, "strict=true").await.unwrap();
        let _ = store(&*storage, head("x", "text/plain"), &[1; 300_000]).await.unwrap();

        let storage = limited.open(kind, "strict=true").await.unwrap();
        let found = storage.lookup(&key("x")).await.unwrap().responses.remove(0);
        assert_eq!(read(&*storage, &found.head).await.unwrap().len(), 300_000, "reading is allowed");
        let error = storage.remove(&key("x")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
        for len in [1, 300_000] {
            let error = store(&*storage, head("y", "text/plain"), &vec![1; len]).await.unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
        }
        layered::callers_never_notice_that_nothing_is_stored(storage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_and_started_again_is_used_again() {
    let Some(own) = Own::start("single") else { return };
    let scratch = Scratch::on(format!("{}?serverSelectionTimeoutMS=300", own.url));
    for kind in KINDS {
        let storage = scratch.open(kind, "timeout=5s&strict=true").await.unwrap();
        let body = vec![7; 2_000_000];
        let _ = store(&*storage, head("before", "text/plain"), &body).await.unwrap();
        let found = storage.lookup(&key("before")).await.unwrap().responses.remove(0);
        let mut reader = storage.open(&found.head).await.unwrap();
        let mut seen = reader.next().await.unwrap().unwrap().len();

        let load: Vec<_> = (0..8)
            .map(|number| {
                let (storage, body) = (storage.clone(), body.clone());
                tokio::spawn(async move {
                    let name = format!("load-{number}");
                    while store(&*storage, head(&name, "text/plain"), &body).await.is_ok() {}
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        own.kill();
        for task in load {
            task.await.unwrap();
        }
        // "An open reader yields the body it was opened for, to the end, or an error": never a short one.
        let error = loop {
            match reader.next().await {
                Ok(Some(chunk)) => seen += chunk.len(),
                Ok(None) => panic!("a body of {} bytes ended after {seen}", body.len()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable | StorageErrorKind::Timeout), "{error}");

        own.restart();
        let found = loop {
            match storage.lookup(&key("before")).await {
                Ok(mut lookup) => break lookup.responses.pop(),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        if let Some(found) = found {
            assert!(read(&*storage, &found.head).await.unwrap() == body);
        }
        for number in 0..8 {
            for found in storage.lookup(&key(&format!("load-{number}"))).await.unwrap().responses {
                assert!(read(&*storage, &found.head).await.unwrap() == body, "whole or not at all");
            }
        }
        let _ = store(&*storage, head("after", "text/plain"), &body).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_server_refuses_has_its_kind() {
    let Some(own) = Own::start("single") else { return };
    let scratch = Scratch::on(own.url.clone());
    let admin = Client::with_uri_str(&own.url).await.unwrap().database("admin");
    let fail = async |data| {
        let point = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        admin.run_command(point).await.unwrap();
    };
    // A server that is held up answers this when it is held up no longer.
    let heal = async || {
        admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap()
    };
    for kind in KINDS {
        let storage = scratch.open(kind, "timeout=2s&strict=true&heartbeatFrequencyMS=500").await.unwrap();
        for (code, expected) in [
            (14_031, StorageErrorKind::Full),
            (10_107, StorageErrorKind::ReadOnly),
            (11_600, StorageErrorKind::Unavailable),
            (13, StorageErrorKind::Denied),
        ] {
            // Heads are published by the one, and chunks of bodies stored by the other.
            for (command, len) in [("findAndModify", 1), ("findAndModify", 300_000), ("insert", 300_000)] {
                fail(doc! { "failCommands": [command], "errorCode": code }).await;
                let error = store(&*storage, head("x", "text/plain"), &vec![1; len]).await.unwrap_err();
                assert_eq!(error.kind(), expected, "{command}: {error}");
                assert!(storage.lookup(&key("x")).await.unwrap().responses.is_empty());
            }
            heal().await;
        }
        fail(doc! { "failCommands": ["findAndModify", "insert", "update"], "errorCode": 14_031 }).await;
        layered::callers_never_notice_that_nothing_is_stored(storage.clone()).await;
        heal().await;
        fail(doc! { "failCommands": ["find"], "blockConnection": true, "blockTimeMS": 5_000 }).await;
        let before = Instant::now();
        let error = storage.lookup(&key("x")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Timeout, "{error}");
        assert!(before.elapsed() < Duration::from_millis(4_500), "a slow server holds nobody up for long");
        heal().await;
        let _ = store(&*storage, head("x", "text/plain"), b"x").await.unwrap();
    }
}
