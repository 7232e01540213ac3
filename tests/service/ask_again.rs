//! Where the answer to a validation is of no use, the origin is asked again with the client's own request.
//!
//! Every request gets what it would have got without a cache: never a 502 of the cache's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use http_body_util::BodyExt;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, Policy};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, ServiceBuilder};

use crate::support::{Frames, Origin, OriginBody, ask, clock, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
const STALE: (&str, &str) = ("cache-control", "max-age=0");

/// Answers conditions with a 304 that names this tag, and everything else in full.
fn renaming(tag: &'static str, named: Option<&'static str>) -> Origin {
    Origin::new(move |parts, number| {
        let conditional = parts.headers.contains_key("if-none-match");
        Ok(match (conditional, named) {
            (true, Some(named)) => response(304, &[("etag", named)], ""),
            (true, None) => response(304, &[], ""),
            (false, _) => response(200, &[STALE, ("etag", tag)], ["first", "second", "third"][number.min(2)]),
        })
    })
}

#[tokio::test]
async fn a_304_to_the_clients_own_tag_is_passed_on_with_any_tag() {
    // Apache answers a condition on "abc-gzip" with 304 and "abc".
    let origin = renaming("\"abc-gzip\"", Some("\"abc\""));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    for number in 2..5 {
        let seen = ask(&cache, request("GET", PAGE, &[("if-none-match", "\"abc-gzip\"")])).await;
        assert_eq!((seen.status.as_u16(), seen.field("etag"), origin.count()), (304, "\"abc\"", number));
    }
}

#[tokio::test]
async fn a_304_that_may_mean_either_is_cleared_up_with_the_clients_own_condition() {
    for named in [Some("\"abc\""), None] {
        let origin = renaming("\"abc-gzip\"", named);
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        let seen = ask(&cache, request("GET", PAGE, &[("if-none-match", "\"old\"")])).await;
        assert_eq!(seen.status, 304, "the origin said so to the client's own tag");
        assert_eq!(origin.last().headers["if-none-match"], "\"old\"", "nothing of the cache's own is sent");
        assert_eq!(origin.count(), 3);
    }
}

/// Two variants, one after the other, and then a 304 that names neither or is ambiguous.
fn two_variants(named: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::new(move |parts, _| {
        let language = parts.headers["accept-language"].to_str().unwrap().to_owned();
        let fields = |tag| [("cache-control", "max-age=60"), ("vary", "accept-language"), ("etag", tag)];
        Ok(match (language.as_str(), parts.headers.contains_key("if-none-match")) {
            ("en", _) => response(200, &fields("\"en\""), "hello"),
            ("de", _) => response(200, &fields("\"de\""), "hallo"),
            (_, true) => response(304, named, ""),
            (_, false) => response(200, &fields("\"fr\""), "bonjour"),
        })
    })
}

async fn after_a_vary_miss(named: &'static [(&'static str, &'static str)], lose_bodies: bool) -> usize {
    let origin = two_variants(named);
    let storage = Arc::new(crate::moody::Moody::new(crate::moody::Mood::Fine));
    let layer = CacheLayer::new(storage.clone()).policy(Policy::private());
    // One request at a time: the first has to be over, body and all, when the second is sent.
    let below = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(origin.clone());
    let cache = layer.layer(below);
    let speaking = |language| request("GET", PAGE, &[("accept-language", language)]);
    for language in ["en", "de"] {
        ask(&cache, speaking(language)).await;
    }
    if lose_bodies {
        storage.set(crate::moody::Mood::LosesBodies);
    }
    let seen = ask(&cache, speaking("fr")).await;
    storage.set(crate::moody::Mood::Fine);
    assert_eq!((seen.status.as_u16(), seen.text()), (200, "bonjour"));
    assert!(seen.cache().stored, "it is handled like any other answer: {:?}", seen.cache());
    assert!(ask(&cache, speaking("fr")).await.is_hit());
    origin.count()
}

#[tokio::test]
async fn a_304_that_names_no_variant_is_asked_again_without_conditions() {
    assert_eq!(after_a_vary_miss(&[("etag", "\"it\"")], false).await, 4);
    assert_eq!(after_a_vary_miss(&[], false).await, 4);
}

#[tokio::test]
async fn a_304_that_names_a_variant_whose_body_is_lost_is_asked_again_without_conditions() {
    assert_eq!(after_a_vary_miss(&[("etag", "\"en\"")], true).await, 4);
}

/// Breaks off its first answer and answers ranges in this way.
fn incomplete(to_range: fn() -> http::Response<OriginBody>) -> Origin {
    Origin::new(move |parts, number| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-length", "10")];
        Ok(if parts.headers.contains_key("range") {
            to_range()
        } else if number == 0 {
            with_body(200, &fields, Frames::of(&["012345"]).then_error().boxed())
        } else {
            response(200, &fields, "0123456789")
        })
    })
}

#[tokio::test]
async fn a_part_that_the_origin_does_not_complete_is_asked_for_as_a_whole() {
    let answers: [fn() -> http::Response<OriginBody>; 6] = [
        || response(416, &[("content-range", "bytes */10")], ""),
        || response(412, &[], ""),
        || response(304, &[], ""),
        || response(304, &[("etag", "\"a\"")], ""),
        || response(206, &[("content-range", "bytes 6-9/10"), ("etag", "\"b\"")], "6789"),
        || response(206, &[("content-range", "bytes 0-9/10"), ("etag", "\"a\"")], "0123456789"),
    ];
    for answer in answers {
        for own in [&[][..], &[("if-none-match", "\"old\"")]] {
            let origin = incomplete(answer);
            let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
            let broken = tower::ServiceExt::oneshot(cache.clone(), get(PAGE)).await.unwrap();
            assert!(broken.into_body().collect().await.is_err());
            let seen = ask(&cache, request("GET", PAGE, own)).await;
            assert_eq!((seen.status.as_u16(), seen.text(), origin.count()), (200, "0123456789", 3));
            assert!(!origin.last().headers.contains_key("range"));
            assert_eq!(origin.last().headers.contains_key("if-none-match"), !own.is_empty());
            assert!(ask(&cache, get(PAGE)).await.is_hit());
        }
    }
}

#[tokio::test]
async fn a_request_refused_for_a_condition_of_the_caches_own_is_sent_again_without() {
    for refusal in [400, 412, 431] {
        let origin = Origin::new(move |parts, _| {
            Ok(match parts.headers.contains_key("if-none-match") {
                true => response(refusal, &[], ""),
                false => response(200, &[STALE, ("etag", "a")], "hello"),
            })
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        let seen = ask(&cache, get(PAGE)).await;
        assert_eq!((seen.status.as_u16(), seen.text(), origin.count()), (200, "hello", 3));
    }
}

#[tokio::test]
async fn conditions_do_not_outgrow_what_servers_take() {
    let tags: Vec<&'static str> =
        ["a", "b", "c"].map(|tag| format!("\"{}\"", tag.repeat(1998)).leak() as &str).into();
    let origin = Origin::new(move |parts, number| {
        let sent: usize = parts.headers.get_all("if-none-match").iter().map(http::HeaderValue::len).sum();
        assert!(sent <= 4096, "{sent}");
        assert!(number < 3 || sent >= 4000, "what fits is sent");
        let tag = tags.get(number).copied().unwrap_or("\"d\"");
        Ok(response(200, &[STALE, ("etag", tag), ("vary", "accept-language")], "hello"))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for language in ["en", "de", "fr", "it"] {
        ask(&cache, request("GET", PAGE, &[("accept-language", language)])).await;
    }
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn the_origin_is_asked_again_only_once() {
    // Whatever is asked, the answer is a 304 that means nothing.
    let origin = Origin::new(|_, number| {
        Ok(match number {
            0 => response(200, &[STALE, ("etag", "\"a\""), ("vary", "accept-language")], "hello"),
            _ => response(304, &[("etag", "\"z\"")], ""),
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, request("GET", PAGE, &[("accept-language", "en")])).await;
    let seen = ask(&cache, request("GET", PAGE, &[("accept-language", "de")])).await;
    assert_eq!((seen.status.as_u16(), origin.count()), (304, 3), "as without a cache");
}

#[tokio::test]
async fn an_origin_that_fails_when_it_is_asked_again_lets_a_stale_response_serve() {
    let origin = Origin::new(|_, number| match number {
        0 => Ok(response(200, &[STALE, ("etag", "\"a\""), ("vary", "accept-language")], "hello")),
        1 => Ok(response(200, &[STALE, ("etag", "\"b\""), ("vary", "accept-language")], "hello")),
        2 => Ok(response(304, &[("etag", "\"z\"")], "")),
        _ => Err("connection refused".into()),
    });
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    let english = || request("GET", PAGE, &[("accept-language", "en"), ("if-none-match", "\"old\"")]);
    ask(&cache, request("GET", PAGE, &[("accept-language", "en")])).await;
    ask(&cache, request("GET", PAGE, &[("accept-language", "de")])).await;
    let seen = ask(&cache, english()).await;
    assert_eq!((seen.status.as_u16(), seen.text(), origin.count()), (200, "hello", 4));
}

#[tokio::test]
async fn a_request_that_cannot_be_repeated_carries_no_condition_of_the_caches_own() {
    // RFC 9110 section 13.1.2: "412 (Precondition Failed) status code for all other request methods".
    let origin = Origin::new(|parts, number| {
        Ok(match parts.headers.contains_key("if-none-match") {
            true => response(412, &[], ""),
            false => response(200, &[STALE, ("etag", "\"a\"")], ["first", "second"][number]),
        })
    });
    let key = larder::key::CacheKey::builder().part("report", "june").build();
    let wishes = larder::CacheOverride::new().with_key(key);
    let cache = CacheLayer::new(MemoryStorage::new())
        .policy(Policy::private().methods([Method::POST]))
        .layer(origin.clone());
    for (number, text) in [(1, "first"), (2, "second")] {
        let mut asked = request("POST", PAGE, &[]);
        asked.extensions_mut().insert(wishes.clone());
        let seen = ask(&cache, asked).await;
        assert_eq!((seen.status.as_u16(), seen.text(), origin.count()), (200, text, number));
    }
}

#[tokio::test]
async fn variants_that_a_304_did_not_name_stay() {
    let origin = two_variants(&[("etag", "\"it\"")]);
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for language in ["en", "de", "fr"] {
        ask(&cache, request("GET", PAGE, &[("accept-language", language)])).await;
    }
    for language in ["en", "de", "fr"] {
        assert!(ask(&cache, request("GET", PAGE, &[("accept-language", language)])).await.is_hit());
    }
}

/// A service that counts how often it is polled ready, and fails to be called when it was not.
#[tokio::test]
async fn the_origin_is_polled_ready_before_it_is_asked_again() {
    #[derive(Clone)]
    struct Strict(Origin, bool, Arc<AtomicUsize>);
    impl tower::Service<http::Request<http_body_util::Full<bytes::Bytes>>> for Strict {
        type Response = http::Response<OriginBody>;
        type Error = crate::support::BoxError;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            self.1 = true;
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Self::Future {
            assert!(std::mem::take(&mut self.1), "called without having been ready");
            self.2.fetch_add(1, Ordering::SeqCst);
            self.0.call(request)
        }
    }
    let (origin, calls) = (two_variants(&[]), Arc::new(AtomicUsize::new(0)));
    let strict = Strict(origin, false, Arc::clone(&calls));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(strict);
    for language in ["en", "de", "fr"] {
        ask(&cache, request("GET", PAGE, &[("accept-language", language)])).await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}
