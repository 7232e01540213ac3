//! Opening, refusals and misuse.

use std::sync::Arc;
use std::time::Duration;

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
    let error = builder().url(nowhere()).connect().await.unwrap_err();
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
    let error = builder().url(&wrong).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let lazy = RedisStorage::connect(&wrong).await.unwrap();
    is_no_use_and_no_harm(Arc::new(lazy), &["denied"]).await;
    let none = format!("redis://{}/", server.address());
    let error = builder().url(&none).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let right = format!("redis://:right@{}/?namespace=other&inline_threshold=1KiB", server.address());
    let storage = larder::storage::open(&right).await.unwrap();
    assert_eq!(storage.usage().await.unwrap().responses, 0);
}

#[tokio::test]
async fn tls_with_an_own_authority_and_a_user_that_may_only_read() {
    let Some(server) = Server::start(&["tls"]) else { return };
    let ca = server.var("REDIS_CA");
    let error = builder().url(server.var("REDIS_TLS_URL")).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "an unknown authority: {error}");
    let storage = builder().ca_file(ca).url(server.var("REDIS_TLS_URL")).connect().await.unwrap();
    assert_eq!(store(&storage, head("a"), 10).await.unwrap(), Published::Stored);

    let reader =
        RedisStorage::builder().ca_file(ca).url(server.var("REDIS_TLS_READER_URL")).connect().await.unwrap();
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
    let storage = builder().url(format!("redis+unix://{socket}")).connect().await.unwrap();
    assert_eq!(store(&storage, head("a"), 10).await.unwrap(), Published::Stored);
    assert_eq!(read(&storage, "a").await.unwrap(), Some(10));
}

#[tokio::test]
async fn impossible_values_are_refused_by_name() {
    let url = "redis://127.0.0.1:1/";
    let builder = || RedisStorage::builder().url(url);
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
    for (builder, option) in [
        (builder().namespace(""), "namespace"),
        (builder().namespace("a{b"), "namespace"),
        (builder().inline_threshold((16 << 20) + 1), "inline_threshold"),
        (builder().chunk_size(1023), "chunk_size"),
        (builder().chunk_size((16 << 20) + 1), "chunk_size"),
        (builder().chunk_size(1024).max_body(1024 * 99_999_999 + 1), "max_body"),
        (builder().max_variants(0), "max_variants"),
        (builder().max_variants(1025), "max_variants"),
        (builder().ttl_margin(3651 * day), "ttl_margin"),
        (builder().fill_window(9 * second), "fill_window"),
        (builder().fill_window(31 * day), "fill_window"),
        (builder().connections(0), "connections"),
        (builder().connections(257), "connections"),
        (builder().timeout(Duration::ZERO), "timeout"),
        (builder().connect_timeout(Duration::ZERO), "connect_timeout"),
    ] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{option}: {error}");
        assert!(error.to_string().contains(&format!("the option {option} is ")), "{option}: {error}");
    }
    for builder in [
        builder().inline_threshold(16 << 20).chunk_size(16 << 20).max_variants(1024).ttl_margin(3650 * day),
        builder().inline_threshold(0).chunk_size(1024).max_body(1024 * 99_999_999).max_variants(1),
        builder().fill_window(10 * second).connections(1).ttl_margin(Duration::ZERO),
        builder().fill_window(30 * day).connections(256),
    ] {
        builder.connect().await.unwrap();
    }
}

#[tokio::test]
async fn a_builder_wants_a_server_and_the_last_one_counts() {
    let error = RedisStorage::builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Invalid, "{error}");
    let Some(server) = Server::start(&["single"]) else { return };
    let client = redis::Client::open(server.url()).unwrap();
    let manager = redis::aio::ConnectionManager::new(client.clone()).await.unwrap();
    for (name, builder) in [
        ("client", builder().url(nowhere()).client(client)),
        ("manager", builder().url(nowhere()).manager(manager)),
        ("url", builder().url(nowhere()).url(server.url())),
    ] {
        let storage = builder.namespace(name).connect().await.unwrap();
        assert_eq!(store(&storage, head("a"), 10).await.unwrap(), Published::Stored, "{name}");
        assert_eq!(read(&storage, "a").await.unwrap(), Some(10), "{name}");
    }
    let url = format!("{}?namespace=client&inline_threshold=1KiB", server.url());
    let storage = builder().namespace("replaced").url(url).connect().await.unwrap();
    assert_eq!(read(&storage, "a").await.unwrap(), Some(10), "options of the URL replace the methods'");
}
