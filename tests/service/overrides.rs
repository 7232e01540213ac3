//! The user's wishes for one request.

use std::time::Duration;

use larder::key::CacheKey;
use larder::status::{Fwd, Outcome};
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride};
use tower::Layer;

use crate::support::{Origin, ask, clock, get};

const PAGE: &str = "http://example.com/page";

fn wishing(wishes: CacheOverride) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = get(PAGE);
    request.extensions_mut().insert(wishes);
    request
}

#[tokio::test]
async fn bypass_neither_reads_nor_writes() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin.clone());
    let seen = ask(&cache, wishing(CacheOverride::bypass())).await;
    assert_eq!(seen.cache().outcome, Outcome::Forwarded(Fwd::Bypass));
    assert_eq!(layer.storage().usage().await.unwrap().responses, 0);
    ask(&cache, get(PAGE)).await;
    assert!(!ask(&cache, wishing(CacheOverride::bypass())).await.is_hit());
}

#[tokio::test]
async fn reload_fetches_and_stores_even_if_a_fresh_response_is_stored() {
    let origin = Origin::new(|_, number| {
        let body = if number == 0 { "old" } else { "new" };
        Ok(crate::support::response(200, &[("cache-control", "max-age=60")], body))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    assert_eq!(ask(&cache, wishing(CacheOverride::reload())).await.text(), "new");
    let after = ask(&cache, get(PAGE)).await;
    assert!(after.is_hit());
    assert_eq!(after.text(), "new");
}

#[tokio::test]
async fn revalidate_asks_the_origin_however_fresh_the_response() {
    let origin = Origin::always(&[("cache-control", "max-age=60"), ("etag", "\"a\"")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    assert!(!ask(&cache, wishing(CacheOverride::revalidate())).await.is_hit());
    assert_eq!(origin.last().headers["if-none-match"], "\"a\"");
}

#[tokio::test]
async fn only_if_cached_never_reaches_the_origin() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    assert_eq!(ask(&cache, wishing(CacheOverride::only_if_cached())).await.status, 504);
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn no_store_reads_but_does_not_write() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, wishing(CacheOverride::default().with_no_store())).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    assert!(ask(&cache, wishing(CacheOverride::default().with_no_store())).await.is_hit());
}

#[tokio::test]
async fn a_lifetime_of_ones_own_replaces_the_origins() {
    let origin = Origin::always(&[("cache-control", "max-age=1")], "hello");
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, wishing(CacheOverride::default().with_lifetime(Duration::from_secs(100)))).await;
    clock.advance(Duration::from_secs(50));
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn a_key_of_ones_own_is_used_in_place_of_the_computed_one() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let key = CacheKey::builder().part("mine", "1").build();
    ask(&cache, wishing(CacheOverride::default().with_key(key.clone()))).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    assert!(ask(&cache, wishing(CacheOverride::default().with_key(key))).await.is_hit());
}

#[tokio::test]
async fn nothing_of_ours_reaches_the_origin() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for wishes in [CacheOverride::default(), CacheOverride::bypass(), CacheOverride::reload()] {
        ask(&cache, wishing(wishes)).await;
        assert!(origin.last().extensions.get::<CacheOverride>().is_none());
        assert!(origin.last().headers.is_empty(), "{:?}", origin.last().headers);
    }
}
