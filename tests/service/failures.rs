//! Fail open: with a storage that errors, hangs or loses bodies, every request is served.

use std::time::Duration;

use bytes::Bytes;
use larder::CacheLayer;
use larder::storage::Storage;
use tower::Layer;

use crate::moody::{MOODS, Mood, Moody};
use crate::support::{Origin, ask, clock, get, request, response};

const PAGE: &str = "http://example.com/page";

#[tokio::test(start_paused = true)]
async fn every_request_is_served_with_any_failure_of_the_storage() {
    for mood in MOODS {
        let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
        let cache = CacheLayer::new(Moody::new(mood)).layer(origin.clone());
        for _ in 0..3 {
            assert_eq!(ask(&cache, get(PAGE)).await.text(), "hello", "{mood:?}");
            let post = ask(&cache, request("POST", "http://example.com/other", &[])).await;
            assert_eq!(post.text(), "hello", "{mood:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_hangs_costs_one_deadline_and_is_then_left_alone_for_a_while() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let storage = Moody::new(Mood::Hangs);
    let layer = CacheLayer::new(storage.clone()).storage_deadline(Duration::from_secs(1));
    let cache = layer.layer(origin.clone());
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&cache, get(PAGE)).await.text(), "hello");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    storage.set(Mood::Fine);
    tokio::time::advance(Duration::from_secs(120)).await;
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit(), "it is used again once it answers");
}

#[tokio::test(start_paused = true)]
async fn the_cache_status_says_what_the_storage_said() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(Moody::new(Mood::Fails)).layer(origin.clone());
    let seen = ask(&cache, get(PAGE)).await;
    assert!(!seen.cache().stored);
    assert!(seen.cache().detail.as_ref().is_some_and(|detail| detail.contains("unavailable")));
    assert!(cache.counts().storage_errors > 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_on_writes_delays_no_request() {
    let origin = Origin::new(|_, _| {
        let fields = [("cache-control", "max-age=60"), ("transfer-encoding", "chunked")];
        let piece = Bytes::from(vec![1_u8; 50_000]);
        let frames = (0..100).map(|_| Ok(http_body::Frame::data(piece.clone()))).collect();
        Ok(crate::support::with_body(200, &fields, crate::support::Frames { frames }.boxed()))
    });
    let layer = CacheLayer::new(Moody::new(Mood::HangsOnWrite)).storage_patience(Duration::from_millis(100));
    let cache = layer.layer(origin);
    let began = tokio::time::Instant::now();
    assert_eq!(ask(&cache, get(PAGE)).await.body.len(), 5_000_000);
    assert!(began.elapsed() <= Duration::from_millis(110), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stored_body_that_is_lost_is_a_miss_and_leaves_the_store() {
    let origin = Origin::new(|_, number| {
        Ok(response(200, &[("cache-control", "max-age=60")], if number == 0 { "first" } else { "second" }))
    });
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::LosesBodies);
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.text(), seen.is_hit()), ("second", false));
    storage.set(Mood::Fine);
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "second");
}

#[tokio::test]
async fn a_stored_body_that_is_lost_is_not_validated() {
    let origin = Origin::new(|parts, number| {
        let asks = parts.headers.contains_key("if-none-match");
        let fields = [("cache-control", "max-age=10"), ("etag", "\"v1\"")];
        Ok(response(if asks { 304 } else { 200 }, &fields, if number == 0 { "first" } else { "second" }))
    });
    let (storage, clock) = (Moody::new(Mood::Fine), clock());
    let cache = CacheLayer::new(storage.clone()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    clock.advance(Duration::from_secs(11));
    storage.set(Mood::LosesBodies);
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.status.as_u16(), seen.text(), origin.count()), (200, "second", 2));
    assert!(!origin.last().headers.contains_key("if-none-match"));
    storage.set(Mood::Fine);
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn a_stored_part_that_is_lost_is_not_completed() {
    let origin = Origin::new(|parts, _| {
        let part = parts.headers.contains_key("range");
        let fields = [("cache-control", "max-age=60"), ("etag", "\"v1\""), ("content-range", "bytes 0-3/10")];
        Ok(if part { response(206, &fields, "0123") } else { response(200, &fields[..2], "0123456789") })
    });
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(origin.clone());
    ask(&cache, request("GET", PAGE, &[("range", "bytes=0-3")])).await;
    storage.set(Mood::LosesBodies);
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.status.as_u16(), seen.text()), (200, "0123456789"));
    assert!(!origin.last().headers.contains_key("range"));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_is_tried_even_while_the_storage_is_left_alone() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::Fails);
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::Fine);
    ask(&cache, request("PUT", PAGE, &[])).await;
    assert_eq!(Storage::usage(&*storage.inner).await.unwrap().responses, 0);
}

#[tokio::test]
async fn a_part_that_cannot_be_read_costs_the_union_and_nothing_else() {
    let whole = "0123456789";
    let origin = Origin::new(move |parts, _| {
        let fields = |range| [("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-range", range)];
        Ok(match parts.headers["range"].to_str().unwrap() {
            "bytes=0-3" => response(206, &fields("bytes 0-3/10"), &whole[..4]),
            "bytes=4-6" => response(206, &fields("bytes 4-6/10"), &whole[4..7]),
            "bytes=7-9" => response(206, &fields("bytes 7-9/10"), &whole[7..]),
            other => panic!("{other}"),
        })
    });
    for mood in [Mood::LosesBodies, Mood::FailsToWrite, Mood::HangsOnWrite, Mood::Fails, Mood::Hangs] {
        let storage = Moody::new(Mood::Fine);
        let layer = CacheLayer::new(storage.clone()).storage_deadline(Duration::from_millis(20));
        let cache = layer.storage_patience(Duration::from_millis(20)).layer(origin.clone());
        let range = |range| request("GET", PAGE, &[("range", range)]);
        ask(&cache, range("bytes=0-3")).await;
        storage.set(mood);
        let seen = ask(&cache, range("bytes=4-6")).await;
        assert_eq!((seen.status.as_u16(), seen.text()), (206, "456"), "{mood:?}");
        storage.set(Mood::Fine);
        let stored = storage.inner.responses(None, 10).await.unwrap().items;
        let spans: Vec<_> = stored.iter().map(|head| (head.range.unwrap().first, head.body_len())).collect();
        // What cannot be read goes; what is new is stored where it can be.
        let expected = if mood == Mood::LosesBodies { [(4, 3)] } else { [(0, 4)] };
        assert_eq!(spans, expected, "{mood:?}");
        let seen = ask(&cache, range("bytes=7-9")).await;
        assert_eq!((seen.status.as_u16(), seen.text()), (206, "789"), "{mood:?}");
    }
}

/// The response is stored, and what it replaces stays: the newer one wins on reuse.
#[tokio::test(start_paused = true)]
async fn a_replaced_response_that_cannot_be_removed_is_trouble_of_the_storage() {
    let origin = Origin::new(|_, number| {
        let fields = [("cache-control", "max-age=60"), ("location", "/elsewhere")];
        Ok(response(if number == 0 { 301 } else { 200 }, &fields, "hello"))
    });
    let storage = Moody::new(Mood::FailsToRemove);
    let cache = CacheLayer::new(storage.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    let mut reload = get(PAGE);
    reload.extensions_mut().insert(larder::CacheOverride::reload());
    ask(&cache, reload).await;
    cache.flush().await;
    let counts = cache.counts();
    assert_eq!((counts.stored, counts.storage_errors), (2, 1));
    let usage = Storage::usage(&storage).await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (1, 1));
}
