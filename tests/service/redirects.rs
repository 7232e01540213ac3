//! Redirect aliases: each hop stored and judged on its own, chains answered from the store.

use std::time::Duration;

use larder::CacheLayer;
use larder::redirect::RedirectHistory;
use larder::storage::MemoryStorage;
use tower::{Layer, ServiceBuilder};
use tower_http::follow_redirect::FollowRedirectLayer;

use crate::support::{Frames, Origin, OriginBody, ask, clock, get, request, response, with_body};

const START: &str = "http://example.com/0";

/// `/0` to `/3` redirect to the next, each fresh for a minute; `/4` answers.
fn chain() -> Origin {
    Origin::new(|parts, _| {
        let step: u8 = parts.uri.path().trim_start_matches('/').parse().unwrap();
        if step == 4 {
            return Ok(response(200, &[("cache-control", "max-age=60")], "the end"));
        }
        Ok(hop(&format!("/{}", step + 1), "max-age=60"))
    })
}

fn hop(location: &str, control: &str) -> http::Response<OriginBody> {
    let body = Frames::of(&["see there"]).boxed();
    with_body(301, &[("location", location), ("cache-control", control), ("content-length", "9")], body)
}

#[tokio::test]
async fn a_chain_followed_once_is_answered_from_the_store_in_one_call() {
    let origin = chain();
    let layer = CacheLayer::new(MemoryStorage::new());
    let following = layer.clone().follow_redirects(10).layer(origin.clone());
    let first = ask(&following, get(START)).await;
    assert_eq!((first.text(), origin.count()), ("the end", 5));
    let second = ask(&following, get(START)).await;
    assert_eq!((second.text(), origin.count()), ("the end", 5));
    assert!(second.is_hit());
    let history: &RedirectHistory = second.extensions.get().unwrap();
    let way: Vec<_> =
        history.hops().iter().map(|hop| (hop.uri.path().to_owned(), hop.status.as_u16())).collect();
    assert_eq!(way, [("/0", 301), ("/1", 301), ("/2", 301), ("/3", 301)].map(|(p, s)| (p.to_owned(), s)));
    let usage = layer.storage().usage().await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (1, 4), "the body stands once");
}

#[tokio::test]
async fn without_following_the_client_sees_the_stored_redirect() {
    let origin = chain();
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(START)).await;
    let seen = ask(&cache, get(START)).await;
    assert!(seen.is_hit());
    assert_eq!((seen.status.as_u16(), seen.field("location"), seen.text()), (301, "/1", "see there"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn follow_redirect_above_the_cache_follows_stored_hops_without_the_network() {
    let origin = chain();
    let stack = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(CacheLayer::new(MemoryStorage::new()))
        .service(origin.clone());
    assert_eq!(ask(&stack, get(START)).await.text(), "the end");
    assert_eq!(ask(&stack, get(START)).await.text(), "the end");
    assert_eq!(origin.count(), 5);
}

#[tokio::test]
async fn follow_redirect_below_the_cache_aliases_nothing_unless_the_user_sets_lifetimes() {
    let origin = chain();
    let layer = CacheLayer::new(MemoryStorage::new());
    let below = ServiceBuilder::new().layer(FollowRedirectLayer::new()).service(origin.clone());
    let cache = layer.layer(below);
    for _ in 0..2 {
        let seen = ask(&cache, get(START)).await;
        assert_eq!((seen.text(), seen.is_hit()), ("the end", false));
    }
    assert_eq!(layer.storage().usage().await.unwrap().aliases, 0);
    let wishing = || {
        let mut request = get(START);
        let wishes = larder::CacheOverride::default().with_lifetime(Duration::from_secs(60));
        request.extensions_mut().insert(wishes);
        request
    };
    ask(&cache, wishing()).await;
    let seen = ask(&cache, get(START)).await;
    assert_eq!((seen.text(), seen.is_hit()), ("the end", true));
    assert!(ask(&cache, get("http://example.com/4")).await.is_hit(), "stored under the URI that answered");
    let usage = layer.storage().usage().await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (1, 1));
}

#[tokio::test]
async fn a_no_store_hop_is_never_aliased() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.uri.path() {
            "/0" => hop("/1", "no-store"),
            _ => response(200, &[("cache-control", "max-age=60")], "the end"),
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let following = layer.clone().follow_redirects(10).layer(origin.clone());
    for _ in 0..2 {
        assert_eq!(ask(&following, get(START)).await.text(), "the end");
    }
    assert_eq!(origin.count(), 3, "the hop twice, its target once");
    assert_eq!(layer.storage().usage().await.unwrap().aliases, 0);
}

#[tokio::test]
async fn a_302_without_explicit_freshness_is_not_aliased() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.uri.path() {
            "/0" => response(302, &[("location", "/1")], ""),
            _ => response(200, &[("cache-control", "max-age=60")], "the end"),
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    ask(&layer.clone().follow_redirects(10).layer(origin), get(START)).await;
    assert_eq!(layer.storage().usage().await.unwrap().aliases, 0);
}

#[tokio::test]
async fn an_alias_that_went_stale_is_asked_again() {
    let origin = chain();
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, get(START)).await;
    clock.advance(Duration::from_secs(61));
    assert!(!ask(&cache, get(START)).await.is_hit());
    assert!(ask(&cache, get(START)).await.is_hit());
}

#[tokio::test]
async fn a_loop_ends_in_the_origins_own_redirect() {
    let origin =
        Origin::new(|parts, _| Ok(hop(if parts.uri.path() == "/0" { "/1" } else { "/0" }, "max-age=60")));
    let following = CacheLayer::new(MemoryStorage::new()).follow_redirects(10).layer(origin.clone());
    for _ in 0..2 {
        assert_eq!(ask(&following, get(START)).await.status, 301);
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_chain_longer_than_the_limit_ends_in_a_redirect() {
    let following = CacheLayer::new(MemoryStorage::new()).follow_redirects(2).layer(chain());
    let seen = ask(&following, get(START)).await;
    assert_eq!((seen.status.as_u16(), seen.field("location")), (301, "/3"));
}

#[tokio::test]
async fn a_target_on_another_origin_is_judged_by_its_own_rules_and_without_the_credentials() {
    let origin = Origin::new(|parts, _| {
        Ok(if parts.uri.host() == Some("example.com") {
            hop("http://other.example/", "max-age=60")
        } else {
            assert!(!parts.headers.contains_key("authorization"));
            response(200, &[("cache-control", "max-age=60"), ("vary", "x-who")], "the end")
        })
    });
    let following = CacheLayer::new(MemoryStorage::new()).follow_redirects(10).layer(origin.clone());
    let from = |who: &str| request("GET", START, &[("authorization", "Basic x"), ("x-who", who)]);
    ask(&following, from("a")).await;
    ask(&following, from("a")).await;
    assert_eq!(origin.count(), 2);
    ask(&following, from("b")).await;
    assert_eq!(origin.count(), 3, "the target's Vary is kept");
}

#[tokio::test]
async fn a_response_takes_the_place_of_the_redirect_that_stood_there() {
    let origin = Origin::new(|_, number| {
        Ok(if number == 0 {
            hop("/1", "max-age=60")
        } else {
            response(200, &[("cache-control", "max-age=60")], "moved in")
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin);
    ask(&cache, get(START)).await;
    let mut reload = get(START);
    reload.extensions_mut().insert(larder::CacheOverride::reload());
    ask(&cache, reload).await;
    assert_eq!(ask(&cache, get(START)).await.text(), "moved in");
    let usage = layer.storage().usage().await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (1, 0));
}
