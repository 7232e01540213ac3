//! Hits, misses, validation, invalidation, HEAD, Vary: the exchange end to end.

use std::time::Duration;

use larder::status::{Fwd, Outcome};
use larder::storage::MemoryStorage;
use larder::{CacheLayer, Policy};
use tower::Layer;

use crate::support::{Origin, ask, clock, get, request, response};

const PAGE: &str = "http://example.com/page";

#[tokio::test]
async fn a_fresh_response_is_served_from_the_store_with_its_age() {
    let origin = Origin::always(&[("cache-control", "max-age=60"), ("x-kept", "yes")], "hello");
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    let first = ask(&cache, get(PAGE)).await;
    assert_eq!(first.cache().outcome, Outcome::Forwarded(Fwd::UriMiss));
    assert!(first.cache().stored);
    clock.advance(Duration::from_secs(20));
    let second = ask(&cache, get(PAGE)).await;
    assert!(second.is_hit(), "{:?}", second.cache());
    assert_eq!(
        (second.text(), second.field("age"), second.field("x-kept"), second.cache().ttl),
        ("hello", "20", "yes", Some(40))
    );
    assert_eq!(origin.count(), 1);
    assert_eq!((cache.counts().hits, cache.counts().misses, cache.counts().stored), (1, 1, 1));
}

#[tokio::test]
async fn a_stale_response_is_validated_and_freshened_by_a_304() {
    let origin = Origin::new(|parts, _| {
        Ok(if parts.headers.get("if-none-match").is_some_and(|tag| tag == "\"v1\"") {
            response(304, &[("etag", "\"v1\""), ("cache-control", "max-age=60"), ("x-new", "1")], "")
        } else {
            response(
                200,
                &[("etag", "\"v1\""), ("cache-control", "max-age=10"), ("content-length", "4")],
                "body",
            )
        })
    });
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    clock.advance(Duration::from_secs(11));
    let validated = ask(&cache, get(PAGE)).await;
    assert_eq!(validated.cache().outcome, Outcome::Forwarded(Fwd::Stale));
    assert_eq!(validated.cache().fwd_status.map(|status| status.as_u16()), Some(304));
    assert_eq!((validated.status.as_u16(), validated.text(), validated.field("x-new")), (200, "body", "1"));
    clock.advance(Duration::from_secs(30));
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit());
    assert_eq!((hit.text(), hit.field("x-new"), origin.count()), ("body", "1", 2));
}

#[tokio::test]
async fn variants_are_kept_apart_and_side_by_side() {
    let origin = Origin::new(|parts, _| {
        let language = parts.headers["accept-language"].to_str().unwrap().to_owned();
        let body = if language == "de" { "hallo" } else { "hello" };
        Ok(response(200, &[("cache-control", "max-age=60"), ("vary", "accept-language")], body))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let de = || request("GET", PAGE, &[("accept-language", "de")]);
    let en = || request("GET", PAGE, &[("accept-language", "en")]);
    ask(&cache, de()).await;
    let miss = ask(&cache, en()).await;
    assert_eq!(miss.cache().outcome, Outcome::Forwarded(Fwd::VaryMiss));
    assert_eq!(ask(&cache, de()).await.text(), "hallo");
    assert_eq!(ask(&cache, en()).await.text(), "hello");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn an_unsafe_method_invalidates_its_target_and_what_its_location_names() {
    let origin = Origin::new(|parts, _| {
        Ok(if parts.method == "POST" {
            response(201, &[("location", "/other")], "")
        } else {
            response(200, &[("cache-control", "max-age=60")], "x")
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for uri in [PAGE, "http://example.com/other", "http://example.com/third"] {
        ask(&cache, get(uri)).await;
    }
    let post = ask(&cache, request("POST", PAGE, &[])).await;
    assert_eq!(post.cache().outcome, Outcome::Forwarded(Fwd::Method));
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    assert!(!ask(&cache, get("http://example.com/other")).await.is_hit());
    assert!(ask(&cache, get("http://example.com/third")).await.is_hit());
}

#[tokio::test]
async fn a_failed_unsafe_request_invalidates_nothing() {
    let origin = Origin::new(|parts, _| {
        let status = if parts.method == "DELETE" { 500 } else { 200 };
        Ok(response(status, &[("cache-control", "max-age=60")], "x"))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    ask(&cache, request("DELETE", PAGE, &[])).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get_without_its_body() {
    let origin = Origin::always(&[("cache-control", "max-age=60"), ("content-length", "5")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    let head = ask(&cache, request("HEAD", PAGE, &[])).await;
    assert!(head.is_hit());
    assert_eq!((head.text(), head.field("content-length"), origin.count()), ("", "5", 1));
}

#[tokio::test]
async fn the_clients_own_condition_is_answered_with_304() {
    let origin = Origin::always(&[("cache-control", "max-age=60"), ("etag", "\"a\"")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    let seen = ask(&cache, request("GET", PAGE, &[("if-none-match", "\"z\", W/\"a\"")])).await;
    assert_eq!((seen.status.as_u16(), seen.text(), seen.field("etag")), (304, "", "\"a\""));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_byte_range_is_cut_from_the_stored_response() {
    let origin = Origin::always(&[("cache-control", "max-age=60"), ("etag", "\"a\"")], "0123456789");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    let seen = ask(&cache, request("GET", PAGE, &[("range", "bytes=2-4")])).await;
    assert_eq!(
        (seen.status.as_u16(), seen.text(), seen.field("content-range"), seen.field("content-length")),
        (206, "234", "bytes 2-4/10", "3")
    );
    let outside = ask(&cache, request("GET", PAGE, &[("range", "bytes=20-")])).await;
    assert_eq!((outside.status.as_u16(), outside.field("content-range")), (416, "bytes */10"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn only_if_cached_without_a_stored_response_is_a_504() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let seen = ask(&cache, request("GET", PAGE, &[("cache-control", "only-if-cached")])).await;
    assert_eq!((seen.status.as_u16(), origin.count()), (504, 0));
    ask(&cache, get(PAGE)).await;
    let seen = ask(&cache, request("GET", PAGE, &[("cache-control", "only-if-cached")])).await;
    assert_eq!((seen.status.as_u16(), seen.text()), (200, "hello"));
}

#[tokio::test]
async fn a_disconnected_origin_lets_stale_responses_serve_unless_must_revalidate() {
    for (control, served) in [("max-age=1", true), ("max-age=1, must-revalidate", false)] {
        let origin = Origin::new(move |_, number| match number {
            0 => Ok(response(200, &[("cache-control", control)], "old")),
            _ => Err("connection refused".into()),
        });
        let clock = clock();
        let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        clock.advance(Duration::from_secs(5));
        let answer = tower::ServiceExt::oneshot(cache.clone(), get(PAGE)).await;
        assert_eq!(answer.is_ok(), served, "{control}");
    }
}

#[tokio::test]
async fn a_shared_cache_keeps_no_private_response_and_none_to_an_authorized_request() {
    let origin = Origin::new(|parts, _| {
        let control = if parts.uri.path() == "/private" { "private, max-age=60" } else { "max-age=60" };
        Ok(response(200, &[("cache-control", control)], "x"))
    });
    let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared());
    let cache = layer.layer(origin.clone());
    for _ in 0..2 {
        assert!(!ask(&cache, get("http://example.com/private")).await.is_hit());
        let authorized = request("GET", PAGE, &[("authorization", "Bearer secret")]);
        assert!(!ask(&cache, authorized).await.is_hit());
    }
    assert_eq!(layer.storage().usage().await.unwrap().responses, 0);
}

#[tokio::test]
async fn clones_and_several_services_of_one_layer_share_the_store() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let layer = CacheLayer::new(MemoryStorage::new());
    ask(&layer.layer(origin.clone()), get(PAGE)).await;
    let other = layer.clone().layer(origin.clone());
    assert!(ask(&other.clone(), get(PAGE)).await.is_hit());
    assert_eq!((origin.count(), layer.counts().hits), (1, 1));
}

#[tokio::test]
async fn the_store_can_be_looked_into_and_cleared_while_the_cache_runs() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    assert_eq!(layer.storage().usage().await.unwrap().responses, 1);
    layer.storage().clear(None).await.unwrap();
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn the_cache_status_field_is_added_only_when_asked_for() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let plain = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    assert_eq!(ask(&plain, get(PAGE)).await.field("cache-status"), "");
    let telling = CacheLayer::new(MemoryStorage::new()).cache_status_header(true).layer(origin.clone());
    let first = ask(&telling, get(PAGE)).await;
    assert!(first.field("cache-status").contains("fwd=uri-miss"), "{}", first.field("cache-status"));
    assert!(first.field("cache-status").contains("stored"));
    assert!(ask(&telling, get(PAGE)).await.field("cache-status").contains("; hit"));
}

#[tokio::test]
async fn methods_a_cache_has_no_part_in_pass_through() {
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for _ in 0..2 {
        let response =
            tower::ServiceExt::oneshot(cache.clone(), request("OPTIONS", PAGE, &[])).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!((origin.count(), cache.counts().bypassed), (2, 2));
}
