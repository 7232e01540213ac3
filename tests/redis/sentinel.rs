//! What sentinels are for: another server becomes the primary, and the cache goes on with it.

use std::time::{Duration, Instant};

use larder::CacheLayer;
use larder::storage::{Published, RedisStorage};
use tower::Layer;

use crate::server::{Server, builder, head, load, read, store};
use crate::support::{Origin, ask, get};

/// Down after one and a half seconds, then the sentinels agree; and this machine may be busy.
const PROMOTED: Duration = Duration::from_secs(30);

fn url(server: &Server) -> String {
    let hosts = server.var("REDIS_SENTINEL_URLS").replace("redis://", "").replace('/', "");
    format!("redis+sentinel://{hosts}/{}", server.var("REDIS_SENTINEL_SERVICE"))
}

/// Until a store succeeds again.
async fn comes_back(storage: &RedisStorage) {
    let began = Instant::now();
    loop {
        match store(storage, head("after"), 300_000).await {
            Ok(Published::Stored) => break,
            Ok(Published::Superseded) => {}
            Err(error) => assert!(began.elapsed() < PROMOTED, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("used again after {:?}", began.elapsed());
    assert_eq!(read(storage, "after").await.unwrap(), Some(300_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_and_the_same_handle_goes_on() {
    let Some(server) = Server::start(&["sentinel"]) else { return };
    let storage = builder().url(url(&server)).connect().await.unwrap();
    let _ = store(&storage, head("before"), 300_000).await.unwrap();
    let tasks = load(&storage, 5, 3, Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.signal("primary", "KILL");
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
    comes_back(&storage).await;
    // Replication is not waited for, so it may be lost; but it is never short.
    assert!(matches!(read(&storage, "before").await.unwrap(), None | Some(300_000)));
}

/// A server that stands still closes no connection, and no call to it ends by itself before the layer gives it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_primary_is_replaced_though_the_layer_waits_for_no_timeout() {
    let Some(server) = Server::start(&["sentinel"]) else { return };
    let storage = RedisStorage::connect(&url(&server)).await.unwrap();
    let origin = Origin::always(&[("cache-control", "max-age=600")], "hello");
    let layer = CacheLayer::new(storage).storage_deadline(Duration::from_secs(2));
    let cache = layer.layer(origin.clone());
    let page = |number: usize| get(&format!("http://example.com/{number}"));
    ask(&cache, page(0)).await;
    assert!(ask(&cache, page(0)).await.is_hit());
    server.signal("primary", "STOP");
    let began = Instant::now();
    for number in 1.. {
        assert_eq!(ask(&cache, page(number)).await.text(), "hello");
        if ask(&cache, page(number)).await.is_hit() {
            break;
        }
        assert!(began.elapsed() < 2 * PROMOTED, "no hit any more");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("hits again after {:?}", began.elapsed());
    server.signal("primary", "CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_frozen_sentinel_is_passed_over() {
    let Some(server) = Server::start(&["sentinel"]) else { return };
    let storage = builder().url(url(&server)).connect().await.unwrap();
    server.signal("sentinel2", "STOP");
    server.signal("primary", "KILL");
    comes_back(&storage).await;
    let another = builder().url(url(&server)).connect().await.unwrap();
    assert_eq!(read(&another, "after").await.unwrap(), Some(300_000));
    server.signal("sentinel2", "CONT");
}
