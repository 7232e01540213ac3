//! Refreshing in the background (RFC 5861).

use std::time::Duration;

use larder::CacheLayer;
use larder::clock::ManualClock;
use larder::storage::MemoryStorage;
use tower::Layer;

use crate::support::{Origin, ask, clock, get, response};

const PAGE: &str = "http://example.com/page";

/// Lets spawned tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came");
}

async fn stale(clock: &ManualClock, origin: &Origin) -> larder::Cache<Origin> {
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    clock.advance(Duration::from_secs(20));
    cache
}

#[tokio::test]
async fn a_stale_response_is_served_at_once_and_refreshed_once() {
    let origin = Origin::new(|_, number| {
        let body = if number == 0 { "old" } else { "new" };
        Ok(response(200, &[("cache-control", "max-age=10, stale-while-revalidate=60")], body))
    });
    let clock = clock();
    let cache = stale(&clock, &origin).await;
    let seen = ask(&cache, get(PAGE)).await;
    assert!(seen.is_hit());
    assert_eq!((seen.text(), seen.cache().ttl, seen.field("age")), ("old", Some(-10), "20"));
    ask(&cache, get(PAGE)).await;
    until(|| cache.counts().stored == 2).await;
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.text(), origin.count()), ("new", 2));
}

#[tokio::test]
async fn a_failed_refresh_is_not_repeated_at_once_and_leaves_the_stale_response() {
    let origin = Origin::new(|_, number| match number {
        0 => Ok(response(200, &[("cache-control", "max-age=10, stale-while-revalidate=600")], "old")),
        _ => Err("down".into()),
    });
    let clock = clock();
    let cache = stale(&clock, &origin).await;
    ask(&cache, get(PAGE)).await;
    until(|| origin.count() == 2).await;
    for _ in 0..5 {
        assert_eq!(ask(&cache, get(PAGE)).await.text(), "old");
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 2);
    clock.advance(Duration::from_secs(2));
    ask(&cache, get(PAGE)).await;
    until(|| origin.count() == 3).await;
}

#[tokio::test]
async fn past_the_window_the_origin_is_asked_first() {
    let origin = Origin::new(|_, number| {
        let body = if number == 0 { "old" } else { "new" };
        Ok(response(200, &[("cache-control", "max-age=10, stale-while-revalidate=5")], body))
    });
    let clock = clock();
    let cache = stale(&clock, &origin).await;
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "new");
}

#[tokio::test]
async fn stale_if_error_answers_for_a_failing_origin() {
    let origin = Origin::new(|_, number| match number {
        0 => {
            Ok(response(200, &[("cache-control", "max-age=10, stale-if-error=60"), ("etag", "\"a\"")], "old"))
        }
        _ => Ok(response(503, &[], "sorry")),
    });
    let clock = clock();
    let cache = stale(&clock, &origin).await;
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.status.as_u16(), seen.text()), (200, "old"));
    assert_eq!(seen.cache().fwd_status.map(|status| status.as_u16()), Some(503));
    clock.advance(Duration::from_secs(100));
    assert_eq!(ask(&cache, get(PAGE)).await.status, 503);
}
