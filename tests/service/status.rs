//! What the layer says in `Cache-Status` (RFC 9211).

use std::time::Duration;

use larder::key::RequestHead;
use larder::status::{CacheStatus, Fwd, Outcome};
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride};
use tower::Layer;

use crate::support::{Origin, Seen, ask, clock, get, request, response};

const PAGE: &str = "http://example.com/page";

fn layer() -> CacheLayer {
    CacheLayer::new(MemoryStorage::new()).cache_status_header(true)
}

/// The members of the field, in order.
fn members(seen: &Seen) -> Vec<&str> {
    seen.headers.get_all("cache-status").iter().map(|line| line.to_str().unwrap()).collect()
}

#[tokio::test]
async fn our_member_stands_behind_the_one_of_an_upstream_cache_on_misses_and_on_hits() {
    let fields = &[("cache-control", "max-age=60"), ("cache-status", "cdn; hit; ttl=9")];
    let clock = clock();
    let cache = layer().clock(clock.clone()).layer(Origin::always(fields, "hello"));
    let miss = ask(&cache, get(PAGE)).await;
    assert_eq!(members(&miss), ["cdn; hit; ttl=9", "larder; fwd=uri-miss; fwd-status=200; stored"]);
    clock.advance(Duration::from_secs(20));
    for _ in 0..2 {
        assert_eq!(members(&ask(&cache, get(PAGE)).await), ["cdn; hit; ttl=9", "larder; hit; ttl=40"]);
    }
}

#[tokio::test]
async fn a_validation_tells_why_the_status_and_the_new_lifetime() {
    let origin = Origin::new(|asked, _| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        let status = if asked.headers.contains_key("if-none-match") { 304 } else { 200 };
        Ok(response(status, &fields, ""))
    });
    let clock = clock();
    let cache = layer().clock(clock.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    let forced = ask(&cache, request("GET", PAGE, &[("cache-control", "no-cache")])).await;
    assert_eq!(members(&forced), ["larder; fwd=request; fwd-status=304; ttl=60"]);
    clock.advance(Duration::from_secs(61));
    assert_eq!(members(&ask(&cache, get(PAGE)).await), ["larder; fwd=stale; fwd-status=304; ttl=60"]);
}

#[tokio::test]
async fn a_stale_answer_has_a_negative_ttl() {
    let origin = Origin::new(|_, number| match number {
        0 => Ok(response(200, &[("cache-control", "max-age=60, stale-if-error=600")], "old")),
        1 => Ok(response(503, &[], "")),
        _ => Err("unreachable".into()),
    });
    let clock = clock();
    let cache = layer().clock(clock.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    clock.advance(Duration::from_secs(90));
    assert_eq!(members(&ask(&cache, get(PAGE)).await), ["larder; fwd=stale; fwd-status=503; ttl=-30"]);
    assert_eq!(members(&ask(&cache, get(PAGE)).await), ["larder; fwd=stale; ttl=-30"]);
    let allowed = ask(&cache, request("GET", PAGE, &[("cache-control", "max-stale=100")])).await;
    assert_eq!(members(&allowed), ["larder; hit; ttl=-30"]);
}

#[tokio::test]
async fn the_reason_is_the_most_specific_one() {
    let origin = Origin::new(|asked, _| {
        let fields = [("cache-control", "max-age=60"), ("vary", "accept-language"), ("etag", "\"a\"")];
        Ok(response(if asked.method == "POST" { 500 } else { 200 }, &fields, "hello"))
    });
    let clock = clock();
    let cache = layer().clock(clock.clone()).layer(origin);
    let german: &[(&str, &str)] = &[("accept-language", "de")];
    type Row = (&'static str, &'static [(&'static str, &'static str)], CacheOverride, Fwd);
    let table: [Row; 6] = [
        ("GET", german, CacheOverride::reload(), Fwd::UriMiss),
        ("GET", &[("accept-language", "en")], CacheOverride::new(), Fwd::VaryMiss),
        ("GET", german, CacheOverride::reload(), Fwd::Request),
        ("GET", &[("accept-language", "de"), ("if-match", "\"b\"")], CacheOverride::new(), Fwd::Request),
        ("POST", german, CacheOverride::new(), Fwd::Method),
        ("GET", german, CacheOverride::bypass(), Fwd::Bypass),
    ];
    for (method, fields, wishes, expected) in table {
        let mut request = request(method, PAGE, fields);
        request.extensions_mut().insert(wishes.clone());
        let seen = ask(&cache, request).await;
        assert_eq!(seen.cache().outcome, Outcome::Forwarded(expected), "{method} {fields:?} {wishes:?}");
    }
    clock.advance(Duration::from_secs(61));
    let mut stale = request("GET", PAGE, german);
    stale.extensions_mut().insert(CacheOverride::reload());
    assert_eq!(ask(&cache, stale).await.cache().fwd(), Some(Fwd::Stale));
}

#[tokio::test]
async fn a_request_without_a_key_is_told_why() {
    let cache = layer().layer(Origin::always(&[], "hello"));
    let relative = "relative URI without Host";
    let two_hosts: &[(&str, &str)] = &[("host", "example.com"), ("host", "example.org")];
    for (uri, fields, detail) in [("/page", &[][..], relative), ("/page", two_hosts, "no key")] {
        let seen = ask(&cache, request("GET", uri, fields)).await;
        assert_eq!(members(&seen), [format!("larder; fwd=bypass; fwd-status=200; detail=\"{detail}\"")]);
    }
    let nothing = layer().make_key(|_: &RequestHead<'_>| None).layer(Origin::always(&[], "hello"));
    assert_eq!(ask(&nothing, get(PAGE)).await.cache().detail.as_deref(), Some("no key"));
    let mut wanted = request("GET", "/page", &[]);
    wanted.extensions_mut().insert(CacheOverride::bypass());
    assert_eq!(ask(&cache, wanted).await.cache().detail, None);
}

#[tokio::test]
async fn nothing_was_forwarded_for_only_if_cached() {
    let cache = layer().layer(Origin::always(&[], "hello"));
    let seen = ask(&cache, request("GET", PAGE, &[("cache-control", "only-if-cached")])).await;
    assert_eq!(seen.status, 504);
    assert_eq!(*seen.cache(), CacheStatus::generated().with_detail("only-if-cached"));
    assert!(!seen.cache().is_hit() && seen.cache().fwd().is_none());
    // "SHOULD NOT append a Cache-Status member to responses that it generates"
    assert!(members(&seen).is_empty());
}

#[tokio::test]
async fn answers_made_of_a_stored_response_have_a_member() {
    let fields = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];
    let cache = layer().layer(Origin::always(fields, "hello"));
    ask(&cache, get(PAGE)).await;
    for (field, value, status) in [("if-none-match", "\"a\"", 304), ("range", "bytes=0-1", 206)] {
        let seen = ask(&cache, request("GET", PAGE, &[(field, value)])).await;
        assert_eq!((seen.status.as_u16(), seen.cache().is_hit()), (status, true));
        assert_eq!(members(&seen).len(), 1);
    }
}

#[tokio::test]
async fn the_key_is_told_only_where_asked_for() {
    for on in [false, true] {
        let cache = layer().cache_status_key(on).layer(Origin::always(&[], "hello"));
        let seen = ask(&cache, get(PAGE)).await;
        assert_eq!(seen.cache().key.is_some(), on);
        assert_eq!(members(&seen)[0].contains("; key="), on);
    }
}

#[tokio::test]
async fn the_detail_says_why_nothing_was_stored() {
    let clock = clock();
    let cache = layer().clock(clock.clone()).layer(Origin::always(&[("cache-control", "no-store")], "hello"));
    assert_eq!(
        members(&ask(&cache, get(PAGE)).await),
        ["larder; fwd=uri-miss; fwd-status=200; detail=no-store"]
    );
}
