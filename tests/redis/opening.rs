//! Opening, refusals and misuse.

use std::sync::Arc;

use larder::storage::{Published, RedisStorage, Storage, StorageErrorKind};

use crate::layered::{callers_never_notice_that_nothing_is_stored, is_no_use_and_no_harm};
use crate::server::{Server, builder, head, key, read, store};

fn nowhere() -> String {
    format!("redis://user:s3cret@{}/", crate::wire::nowhere())
}

#[tokio::test]
async fn an_absent_server_fails_each_call_and_strict_connecting() {
    let storage = RedisStorage::connect(&nowhere()).await.unwrap();
    let error = storage.lookup(&key("x")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    let error = builder().connect(&nowhere()).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    assert!(!format!("{error:?} {error}").contains("s3cret"), "no password in messages");
}

#[tokio::test]
async fn urls_and_options_that_make_no_sense_are_told() {
    for url in [
        "redis://h/?no_such=1",
        "redis://h/?max_body=much",
        "redis://h/?namespace=a%7Bb",
        "redis://a,b/",
        "redis+sentinel://h",
        "redis+else://h/",
        "http://h/",
        "redis:",
        "rediss://h/?ca_file=/no/such/file",
    ] {
        let error = RedisStorage::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{url}: {error}");
    }
    let error = RedisStorage::connect("redis://h/?no_such=1").await.unwrap_err();
    assert!(error.to_string().contains("inline_threshold"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_denied() {
    let Some(server) = Server::start(&["single", "--requirepass", "right"]) else { return };
    let wrong = format!("redis://:wrong@{}/", server.address());
    let error = builder().connect(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let lazy = RedisStorage::connect(&wrong).await.unwrap();
    is_no_use_and_no_harm(Arc::new(lazy), &["denied"]).await;
    let none = format!("redis://{}/", server.address());
    let error = builder().connect(&none).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let right = format!("redis://:right@{}/?namespace=other&inline_threshold=1KiB", server.address());
    let storage = larder::storage::open(&right).await.unwrap();
    assert_eq!(storage.usage().await.unwrap().responses, 0);
}

#[tokio::test]
async fn tls_with_an_own_authority_and_a_user_that_may_only_read() {
    let Some(server) = Server::start(&["tls"]) else { return };
    let ca = server.var("REDIS_CA");
    let error = builder().connect(server.var("REDIS_TLS_URL")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "an unknown authority: {error}");
    let storage = builder().ca_file(ca).connect(server.var("REDIS_TLS_URL")).await.unwrap();
    assert_eq!(store(&storage, head("a"), 10).await.unwrap(), Published::Stored);

    let reader =
        RedisStorage::builder().ca_file(ca).connect(server.var("REDIS_TLS_READER_URL")).await.unwrap();
    assert_eq!(read(&reader, "a").await.unwrap(), Some(10), "hits");
    let error = store(&reader, head("b"), 10).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let error = reader.remove(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    callers_never_notice_that_nothing_is_stored(Arc::new(reader)).await;
}

#[tokio::test]
async fn a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket: &'static str = directory.path().join("socket").to_str().unwrap().to_owned().leak();
    let Some(_server) = Server::start(&["single", "--unixsocket", socket]) else { return };
    let storage = builder().connect(&format!("redis+unix://{socket}")).await.unwrap();
    assert_eq!(store(&storage, head("a"), 10).await.unwrap(), Published::Stored);
    assert_eq!(read(&storage, "a").await.unwrap(), Some(10));
}
