//! Redirect aliases: each hop stored and judged on its own, chains answered from the store.

use std::sync::Arc;
use std::time::Duration;

use larder::entry::Alias;
use larder::key::{DefaultKey, MakeKey, RequestHead};
use larder::redirect::{AnsweredBy, RedirectHistory};
use larder::storage::{MemoryStorage, Published};
use larder::{CacheLayer, Policy};
use tower::{Layer, ServiceBuilder};
use tower_http::follow_redirect::FollowRedirectLayer;

use crate::support::{Frames, Origin, OriginBody, ask, clock, get, request, response, with_body};

const START: &str = "http://example.com/0";
const MINUTE: Duration = Duration::from_secs(60);

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
async fn a_response_after_a_redirect_below_the_cache_is_not_stored_with_any_setting() {
    let origin = chain();
    let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::private().override_lifetime(MINUTE));
    let below = ServiceBuilder::new().layer(FollowRedirectLayer::new()).service(origin.clone());
    let cache = layer.layer(below);
    let mut wishing = get(START);
    wishing.extensions_mut().insert(larder::CacheOverride::default().with_lifetime(MINUTE));
    for request in [get(START), wishing, get(START)] {
        let seen = ask(&cache, request).await;
        assert_eq!((seen.text(), seen.is_hit(), seen.cache().stored), ("the end", false, false));
        assert_eq!(seen.cache().detail.as_deref(), Some("redirected below the cache"));
    }
    let usage = layer.storage().usage().await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (0, 0));
    ask(&cache, get("http://example.com/4")).await;
    assert!(ask(&cache, get("http://example.com/4")).await.is_hit(), "nothing was followed for this one");
}

#[tokio::test]
async fn any_client_can_say_that_another_uri_answered() {
    // What was asked for, what answered, and whether that is the same.
    for (answered, same) in [
        ("http://example.com/0", true),
        ("HTTP://EXAMPLE.com:80/0", true),
        ("http://user@example.com/0", true),
        ("http://example.com/0?", false),
        ("http://example.com/%30", false),
        ("http://example.com/1", false),
        ("https://example.com/0", false),
        ("http://example.com:8080/0", false),
        ("http://other.example/0", false),
        ("/0", false),
    ] {
        let origin = Origin::new(move |_, _| {
            let mut response = response(200, &[("cache-control", "max-age=60")], "hello");
            response.extensions_mut().insert(AnsweredBy(answered.parse()?));
            Ok(response)
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        assert_eq!(ask(&cache, get(START)).await.cache().stored, same, "{answered}");
        assert_eq!(ask(&cache, get(START)).await.is_hit(), same, "{answered}");
    }
}

#[tokio::test]
async fn in_origin_form_it_is_host_that_was_asked() {
    for (answered, same) in [("http://example.com/0", true), ("http://other.example/0", false), ("/0", true)]
    {
        let origin = Origin::new(move |_, _| {
            let mut response = response(200, &[("cache-control", "max-age=60")], "hello");
            response.extensions_mut().insert(AnsweredBy(answered.parse()?));
            Ok(response)
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        let seen = ask(&cache, request("GET", "/0", &[("host", "Example.com")])).await;
        assert_eq!(seen.cache().stored, same, "{answered}");
    }
}

#[tokio::test]
async fn an_answer_from_elsewhere_confirms_nothing_that_is_stored() {
    let elsewhere = |mut response: http::Response<OriginBody>| {
        response.extensions_mut().insert(AnsweredBy("http://other.example/".parse().unwrap()));
        response
    };
    let tag = ("etag", "\"1\"");
    let origin = Origin::new(move |parts, number| {
        let asks = parts.headers.contains_key("if-none-match");
        Ok(match number {
            0 => response(200, &[tag, ("cache-control", "max-age=60")], "before"),
            _ if asks => elsewhere(response(304, &[tag, ("cache-control", "max-age=60")], "")),
            _ => elsewhere(response(200, &[tag, ("cache-control", "max-age=60")], "after")),
        })
    });
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin);
    assert_eq!(ask(&cache, get(START)).await.text(), "before");
    clock.advance(MINUTE * 2);
    assert_ne!(ask(&cache, get(START)).await.text(), "before", "its origin redirects now");
    assert_eq!(ask(&cache, get(START)).await.text(), "after");
}

#[tokio::test]
async fn a_head_answered_elsewhere_updates_nothing() {
    let origin = Origin::new(|parts, _| {
        let mut response =
            response(200, &[("cache-control", "max-age=60"), ("content-length", "5")], "hello");
        if parts.method == "HEAD" {
            response.headers_mut().insert("x-new", "1".parse()?);
            response.extensions_mut().insert(AnsweredBy("http://other.example/".parse()?));
        }
        Ok(response)
    });
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin);
    ask(&cache, get(START)).await;
    clock.advance(Duration::from_secs(50));
    let mut reload = request("HEAD", START, &[]);
    reload.extensions_mut().insert(larder::CacheOverride::reload());
    ask(&cache, reload).await;
    let seen = ask(&cache, get(START)).await;
    assert_eq!((seen.is_hit(), seen.field("age"), seen.field("x-new")), (true, "50", ""));
}

/// RFC 9875: groups are of the origin that answers, and so is the right to invalidate them.
#[tokio::test]
async fn an_answer_from_elsewhere_invalidates_only_what_was_asked_for() {
    let origin = Origin::new(|parts, _| {
        let fields = [("cache-control", "max-age=60"), ("cache-groups", "\"all\"")];
        if parts.method == "GET" {
            return Ok(response(200, &fields, "hello"));
        }
        let fields = [("cache-group-invalidation", "\"all\""), ("content-location", "/1")];
        let mut response = response(200, &fields, "");
        response.extensions_mut().insert(AnsweredBy("http://other.example/".parse()?));
        Ok(response)
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    for path in ["0", "1", "2"] {
        ask(&cache, get(&format!("http://example.com/{path}"))).await;
    }
    ask(&cache, request("POST", START, &[])).await;
    for (path, hit) in [("0", false), ("1", true), ("2", true)] {
        let seen = ask(&cache, get(&format!("http://example.com/{path}"))).await;
        assert_eq!(seen.is_hit(), hit, "{path}");
    }
}

#[tokio::test]
async fn an_alias_that_is_no_redirect_is_as_if_it_were_not_there() {
    let storage = Arc::new(MemoryStorage::new());
    let origin = Origin::always(&[("cache-control", "max-age=60")], "hello");
    let layer = CacheLayer::new(storage.clone());
    let cache = layer.layer(origin.clone());
    ask(&cache, get("http://example.com/1")).await;
    let key = |uri: &str| DefaultKey::new().make_key(&RequestHead::from(&get(uri))).unwrap();
    let found = layer.storage().lookup(&key("http://example.com/1")).await.unwrap();
    let fence = layer.storage().lookup(&key(START)).await.unwrap().fence;
    let mut planted = found.responses[0].clone();
    let mut head = (*planted.head).clone();
    head.key = key(START);
    planted.head = Arc::new(head);
    let alias = Alias { response: planted, target: key("http://example.com/1") };
    assert_eq!(layer.storage().put_alias(alias, fence).await.unwrap(), Published::Stored);
    assert!(!ask(&cache, get(START)).await.is_hit());
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn of_two_caches_the_upper_one_knows_where_the_lower_one_was_led() {
    let origin = chain();
    let lower = CacheLayer::new(MemoryStorage::new()).follow_redirects(10).layer(origin);
    let upper = CacheLayer::new(MemoryStorage::new()).layer(lower);
    for _ in 0..2 {
        let seen = ask(&upper, get(START)).await;
        assert_eq!((seen.text(), seen.is_hit()), ("the end", false));
        let answered: &AnsweredBy = seen.extensions.get().unwrap();
        assert_eq!(answered.0, "http://example.com/4");
    }
    assert_eq!(ask(&upper, get("http://example.com/4")).await.text(), "the end");
    assert!(ask(&upper, get("http://example.com/4")).await.is_hit());
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
