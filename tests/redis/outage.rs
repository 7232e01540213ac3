//! Servers that go, come back, or answer slowly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::storage::{BodyReader, Published, RedisStorage, Storage, StorageErrorKind};

use crate::layered;
use crate::server::{Server, builder, head, key, load, read, store};
use crate::wire::{Wire, nowhere};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_and_restarted_under_load_is_used_again() {
    let Some(mut server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let tasks = load(&storage, 20, 5, Duration::from_secs(2));
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.kill();
    let error = loop {
        match storage.lookup(&key("x")).await {
            Err(error) => break error,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    server.again();
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
    let until = Instant::now() + Duration::from_secs(10);
    while store(&storage, head("after"), 10).await.ok() != Some(Published::Stored) {
        assert!(Instant::now() < until, "it comes back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read(&storage, "after").await.unwrap(), Some(10));
}

#[tokio::test]
async fn a_slow_reply_is_a_timeout() {
    let Some(server) = Server::start(&["single"]) else { return };
    let (wire, url) = wire(&server).await;
    let storage = builder().timeout(Duration::from_millis(300)).url(&url).connect().await.unwrap();
    wire.delay(Duration::from_secs(30));
    let started = Instant::now();
    let error = storage.lookup(&key("x")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Timeout, "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_connection_cut_within_a_body_is_an_error_and_never_a_short_body() {
    let Some(server) = Server::start(&["single"]) else { return };
    let (wire, url) = wire(&server).await;
    let storage = builder().url(&url).connect().await.unwrap();
    let _ = store(&storage, head("a"), 4_000_000).await.unwrap();
    let found = storage.lookup(&key("a")).await.unwrap();
    let mut reader = storage.open(&found.responses[0].head).await.unwrap();
    let mut len = reader.next().await.unwrap().unwrap().len();
    wire.cut_after(700_000);
    let error = loop {
        match reader.next().await {
            Ok(Some(piece)) => len += piece.len(),
            Ok(None) => panic!("the body ended after {len} bytes"),
            Err(error) => break error,
        }
    };
    assert!(len < 4_000_000);
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    wire.heal();
    assert_eq!(read(&storage, "a").await.unwrap(), Some(4_000_000), "as usable as before");
}

#[tokio::test]
async fn a_hit_cut_within_its_body_is_an_error_to_the_caller() {
    let Some(server) = Server::start(&["single"]) else { return };
    let (wire, url) = wire(&server).await;
    let storage = builder().url(&url).connect().await.unwrap();
    let (cut, heal) = (|| wire.cut_after(700_000), || wire.heal());
    layered::a_hit_cut_within_its_body_is_an_error(Arc::new(storage), cut, heal).await;
}

#[tokio::test]
async fn callers_of_an_absent_or_slow_server_are_answered_by_the_origin() {
    let absent = RedisStorage::connect(&format!("redis://{}/", nowhere())).await.unwrap();
    layered::is_no_use_and_no_harm(Arc::new(absent), &["unavailable"]).await;
    let Some(server) = Server::start(&["single"]) else { return };
    let (wire, url) = wire(&server).await;
    let slow = builder().url(&url).connect().await.unwrap();
    wire.delay(Duration::from_secs(30));
    layered::is_no_use_and_no_harm(Arc::new(slow), &["timeout"]).await;
}

#[tokio::test]
async fn connections_lost_in_silence_are_made_anew() {
    let Some(server) = Server::start(&["single"]) else { return };
    let (wire, url) = wire(&server).await;
    let storage = builder().url(&url).connect().await.unwrap();
    layered::lost_connections_are_made_anew(Arc::new(storage), || wire.lose_connections()).await;
}

async fn wire(server: &Server) -> (Wire, String) {
    let wire = Wire::to(server.address()).await;
    let url = format!("redis://{}/", wire.address);
    (wire, url)
}
