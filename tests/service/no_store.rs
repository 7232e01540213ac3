//! A request that must not be stored leaves what is stored as it was (RFC 9111 sections 5.2.1.5 and 3.5).

use http::Request;
use http_body_util::Full;
use larder::status::Fwd;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride, Policy};
use tower::Layer;

use crate::support::{Frames, Origin, ask, clock, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
const TAG: (&str, &str) = ("etag", "\"a\"");

fn no_store(method: &str) -> [Request<Full<bytes::Bytes>>; 2] {
    let mut wishing = request(method, PAGE, &[]);
    wishing.extensions_mut().insert(CacheOverride::new().with_no_store());
    [request(method, PAGE, &[("cache-control", "no-store")]), wishing]
}

#[tokio::test]
async fn a_304_to_a_request_with_no_store_neither_updates_nor_removes_what_it_confirms() {
    for asked in no_store("GET") {
        let origin = Origin::new(|parts, number| {
            let fields = [("cache-control", "max-age=10"), TAG, ("x-number", ["0", "1", "2"][number])];
            Ok(match parts.headers.contains_key("if-none-match") {
                true => response(304, &fields, ""),
                false => response(200, &fields, "hello"),
            })
        });
        let clock = clock();
        let layer = CacheLayer::new(MemoryStorage::new()).clock(clock.clone());
        let cache = layer.layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        clock.advance(std::time::Duration::from_secs(20));
        let before = layer.storage().responses(None, 9).await.unwrap().items;
        let seen = ask(&cache, asked).await;
        assert_eq!(
            (seen.text(), seen.field("x-number")),
            ("hello", "1"),
            "the client gets the newest fields"
        );
        assert_eq!(layer.storage().responses(None, 9).await.unwrap().items, before);
        assert_eq!(ask(&cache, get(PAGE)).await.cache().fwd(), Some(Fwd::Stale));
        assert!(origin.last().headers.contains_key("if-none-match"), "it is still there to be validated");
        assert!(ask(&cache, get(PAGE)).await.is_hit());
    }
}

#[tokio::test]
async fn a_head_with_no_store_that_agrees_does_not_make_stale() {
    for asked in no_store("HEAD") {
        let cache = CacheLayer::new(MemoryStorage::new());
        let cache = cache.layer(Origin::always(&[("cache-control", "max-age=60"), TAG], "hello"));
        ask(&cache, get(PAGE)).await;
        let mut asked = asked;
        asked.headers_mut().append("cache-control", "no-cache".parse().unwrap());
        ask(&cache, asked).await;
        assert!(ask(&cache, get(PAGE)).await.is_hit());
    }
}

#[tokio::test]
async fn a_request_with_no_store_leaves_parts_to_be_completed_by_others() {
    for asked in no_store("GET") {
        let origin = Origin::new(|parts, number| {
            let fields = [("cache-control", "max-age=60"), TAG, ("content-length", "10")];
            let range = [("cache-control", "max-age=60"), TAG, ("content-range", "bytes 6-9/10")];
            Ok(match (parts.headers.contains_key("range"), number) {
                (true, _) => response(206, &range, "6789"),
                (false, 0) => with_body(200, &fields, Frames::of(&["012345"]).then_error().boxed()),
                (false, _) => response(200, &fields, "0123456789"),
            })
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
        let broken = tower::ServiceExt::oneshot(cache.clone(), get(PAGE)).await.unwrap();
        assert!(http_body_util::BodyExt::collect(broken.into_body()).await.is_err());
        let seen = ask(&cache, asked).await;
        assert_eq!((seen.text(), seen.cache().stored), ("0123456789", false));
        assert!(!origin.last().headers.contains_key("range"), "what is put together would be stored");
        assert_eq!(ask(&cache, get(PAGE)).await.text(), "0123456789");
        assert!(origin.last().headers.contains_key("range"), "the part is still there");
    }
}

#[tokio::test]
async fn an_authorized_request_takes_no_public_page_out_of_a_shared_cache() {
    let origin = Origin::new(|parts, number| {
        let fields = [("cache-control", "max-age=10"), TAG, ("x-number", ["0", "1", "2"][number])];
        Ok(match parts.headers.contains_key("if-none-match") {
            true => response(304, &fields, ""),
            false => response(200, &fields, "hello"),
        })
    });
    let clock = clock();
    let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared()).clock(clock.clone());
    let cache = layer.layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    clock.advance(std::time::Duration::from_secs(20));
    let before = layer.storage().responses(None, 9).await.unwrap().items;
    assert_eq!(ask(&cache, request("GET", PAGE, &[("authorization", "Bearer 1")])).await.text(), "hello");
    assert_eq!(layer.storage().responses(None, 9).await.unwrap().items, before);
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    assert!(origin.last().headers.contains_key("if-none-match"));
}

#[tokio::test]
async fn all_that_a_304_confirms_and_forbids_to_keep_is_removed() {
    // Two variants with one strong tag: a 304 speaks of both (section 4.3.4).
    let origin = Origin::new(|parts, _| {
        let fields = [("cache-control", "max-age=0"), TAG, ("vary", "accept-language")];
        Ok(match parts.headers.contains_key("if-none-match") {
            true => response(304, &[("cache-control", "no-store"), TAG], ""),
            false => response(200, &fields, "hello"),
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin.clone());
    let speaking =
        |language| request("GET", PAGE, &[("accept-language", language), ("cache-control", "no-cache")]);
    let mut reload = speaking("de");
    reload.extensions_mut().insert(CacheOverride::reload());
    ask(&cache, speaking("en")).await;
    ask(&cache, reload).await;
    assert_eq!(layer.storage().responses(None, 9).await.unwrap().items.len(), 2);
    let seen = ask(&cache, request("GET", PAGE, &[("accept-language", "fr")])).await;
    assert_eq!((seen.status.as_u16(), seen.text()), (200, "hello"));
    assert!(layer.storage().responses(None, 9).await.unwrap().items.is_empty());
}
