use std::time::{Duration, Instant};

use larder::storage::{BodyReader, GridFsStorage, MongoStorage, Storage, StorageErrorKind};
use mongodb::Client;
use mongodb::bson::doc;

use crate::server::{Own, Scratch};
use crate::{head, key, store};

/// Nothing listens on port 1.
const NOWHERE: &str = "mongodb://ann:s3cret@127.0.0.1:1/web?serverSelectionTimeoutMS=200";

#[tokio::test]
async fn an_absent_server_is_told_when_asked_strictly_and_tolerated_otherwise() {
    let error = MongoStorage::builder(NOWHERE).strict().connect().await.unwrap_err();
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
    let admin = Client::with_uri_str(&own.url).await.unwrap();
    let reader = doc! { "createUser": "reader", "pwd": "x", "roles": [{ "role": "read", "db": "web" }] };
    admin.database("web").run_command(reader).await.unwrap();
    let strict =
        |url: String| async move { MongoStorage::builder(&url).database("web").strict().connect().await };

    let error = strict(own.url.replace("s3cret", "wrong")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let storage = strict(own.url.clone()).await.unwrap();
    let _ = store(&storage, head("x", "text/plain"), b"x").await.unwrap();

    let limited = own.url.replace("root:s3cret", "reader:x").replace("authSource=admin", "authSource=web");
    let storage = strict(limited).await.unwrap();
    assert_eq!(storage.lookup(&key("x")).await.unwrap().responses.len(), 1, "reading is allowed");
    let error = storage.remove(&key("x")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let error = store(&storage, head("y", "text/plain"), b"y").await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_and_started_again_is_used_again() {
    let Some(own) = Own::start("single") else { return };
    let url = format!("{}?serverSelectionTimeoutMS=300", own.url);
    let storage =
        MongoStorage::builder(&url).timeout(Duration::from_secs(5)).strict().connect().await.unwrap();
    let body = vec![7; 2_000_000];
    let _ = store(&storage, head("before", "text/plain"), &body).await.unwrap();
    let found = storage.lookup(&key("before")).await.unwrap().responses.remove(0);
    let mut reader = storage.open(&found.head).await.unwrap();
    let mut seen = reader.next().await.unwrap().unwrap().len();

    let load: Vec<_> = (0..8)
        .map(|number| {
            let (storage, body) = (storage.clone(), body.clone());
            tokio::spawn(async move {
                let name = format!("load-{number}");
                while store(&storage, head(&name, "text/plain"), &body).await.is_ok() {}
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
            Ok(Some(piece)) => seen += piece.len(),
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
        assert!(crate::read(&storage, &found.head).await.unwrap() == body);
    }
    for number in 0..8 {
        for found in storage.lookup(&key(&format!("load-{number}"))).await.unwrap().responses {
            assert!(crate::read(&storage, &found.head).await.unwrap() == body, "whole or not at all");
        }
    }
    let _ = store(&storage, head("after", "text/plain"), &body).await.unwrap();
}

#[tokio::test]
async fn what_the_server_refuses_has_its_kind() {
    let Some(own) = Own::start("single") else { return };
    let scratch = Scratch::on(own.url.clone());
    let storage = scratch.mongo().timeout(Duration::from_secs(4)).strict().connect().await.unwrap();
    let admin = Client::with_uri_str(&own.url).await.unwrap().database("admin");
    let fail = async |data| {
        let point = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        admin.run_command(point).await.unwrap();
        let before = Instant::now();
        let error = store(&storage, head("x", "text/plain"), b"x").await.unwrap_err();
        assert!(before.elapsed() < Duration::from_secs(15), "a slow server holds nobody up for long");
        // A server that is held up answers this when it is held up no longer.
        admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
        error
    };
    for (code, kind) in [
        (14_031, StorageErrorKind::Full),
        (10_107, StorageErrorKind::ReadOnly),
        (11_600, StorageErrorKind::Unavailable),
        (13, StorageErrorKind::Denied),
    ] {
        let error = fail(doc! { "failCommands": ["findAndModify"], "errorCode": code }).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(storage.lookup(&key("x")).await.unwrap().responses.is_empty());
    }
    let slow = doc! { "failCommands": ["find"], "blockConnection": true, "blockTimeMS": 12_000 };
    assert_eq!(fail(slow).await.kind(), StorageErrorKind::Timeout);
    let _ = store(&storage, head("x", "text/plain"), b"x").await.unwrap();
}
