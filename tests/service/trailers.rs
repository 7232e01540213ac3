//! Trailer fields are stored by the same rules as header fields (RFC 9111 section 3.1), and only those that may stand in
//! a trailer section (RFC 9110 section 6.5.1).

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use larder::entry::{MOST_FIELD_BYTES, MOST_FIELDS};
use larder::policy::SetCookie;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, Policy};
use tower::Layer;

use crate::support::{Frames, Origin, Seen, ask, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";

/// Answers with these fields and trailer fields.
fn origin(fields: &[(&'static str, &'static str)], trailers: HeaderMap) -> Origin {
    let mut all = vec![("transfer-encoding", "chunked"), ("trailer", "x-sum")];
    all.extend(fields);
    Origin::new(move |parts, _| {
        if parts.headers.contains_key("if-none-match") {
            return Ok(response(
                304,
                &[("cache-control", "max-age=60, no-cache=\"x-sum\""), ("etag", "\"a\"")],
                "",
            ));
        }
        let mut frames = Frames::of(&["hello"]);
        frames.frames.push_back(Ok(Frame::trailers(trailers.clone())));
        Ok(with_body(200, &all, frames.boxed()))
    })
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

/// The names of the trailer fields of a hit, after a miss that got all of them.
async fn replayed(
    policy: Policy,
    fields: &[(&'static str, &'static str)],
    trailers: HeaderMap,
) -> Vec<String> {
    let cache = CacheLayer::new(MemoryStorage::new()).policy(policy).layer(origin(fields, trailers.clone()));
    let miss = ask(&cache, get(PAGE)).await;
    assert_eq!(miss.trailers, Some(trailers), "whoever asked the origin gets what it sent");
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit() && hit.text() == "hello");
    names(&hit)
}

fn names(seen: &Seen) -> Vec<String> {
    let mut names: Vec<_> = seen.trailers.iter().flat_map(HeaderMap::keys).map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_may_not_stand_in_a_trailer_section_is_not_stored() {
    let trailers = map(&[
        ("x-sum", "1"),
        ("etag", "\"a\""),
        ("grpc-status", "0"),
        ("x-hop", "1"),
        ("x-listed", "1"),
        ("connection", "x-hop, keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("cache-control", "public"),
        ("cdn-cache-control", "max-age=600"),
        ("set-cookie", "id=1"),
        ("authorization", "Bearer 1"),
        ("proxy-authenticate", "Basic"),
        ("www-authenticate", "Basic"),
        ("vary", "*"),
        ("age", "0"),
        ("date", "now"),
        ("expires", "0"),
        ("location", "/elsewhere"),
        ("if-none-match", "*"),
        ("host", "evil.example"),
    ]);
    let fields = [("cache-control", "max-age=60"), ("connection", "x-listed")];
    for policy in [Policy::private(), Policy::shared()] {
        assert_eq!(replayed(policy, &fields, trailers.clone()).await, ["etag", "grpc-status", "x-sum"]);
    }
}

#[tokio::test]
async fn trailer_fields_that_private_or_no_cache_name_are_not_stored() {
    let trailers = || map(&[("x-user", "1"), ("x-token", "2"), ("x-sum", "3")]);
    let fields = [("cache-control", "max-age=60, private=\"x-user\", no-cache=\"x-token\"")];
    assert_eq!(replayed(Policy::shared(), &fields, trailers()).await, ["x-sum"]);
    assert_eq!(replayed(Policy::private(), &fields, trailers()).await, ["x-sum", "x-user"]);
}

#[tokio::test]
async fn a_response_whose_trailers_set_cookies_is_not_stored_where_such_responses_are_refused() {
    let fields = [("cache-control", "max-age=60")];
    let trailers = map(&[("x-sum", "1"), ("set-cookie", "id=1")]);
    for (policy, stored) in [(SetCookie::Store, true), (SetCookie::Strip, true), (SetCookie::Refuse, false)] {
        for fields in [&fields[..], &[fields[0], ("content-length", "5")]] {
            let cache = CacheLayer::new(MemoryStorage::new()).policy(Policy::private().set_cookie(policy));
            let cache = cache.layer(origin(fields, trailers.clone()));
            ask(&cache, get(PAGE)).await;
            let again = ask(&cache, get(PAGE)).await;
            assert_eq!(again.is_hit(), stored, "{policy:?}");
            assert!(!stored || !again.trailers.unwrap().contains_key("set-cookie"));
        }
    }
}

#[tokio::test]
async fn too_many_or_too_long_trailer_fields_are_left_out() {
    let fields = [("cache-control", "max-age=60")];
    let many = |count: usize| {
        (0..count)
            .map(|n| (HeaderName::try_from(format!("x-{n}")).unwrap(), HeaderValue::from_static("")))
            .collect()
    };
    let long = |len: usize| {
        let value = HeaderValue::try_from("v".repeat(len - "x-sum".len())).unwrap();
        HeaderMap::from_iter([(HeaderName::from_static("x-sum"), value)])
    };
    assert_eq!(replayed(Policy::private(), &fields, many(MOST_FIELDS)).await.len(), MOST_FIELDS);
    assert_eq!(replayed(Policy::private(), &fields, many(MOST_FIELDS + 1)).await.len(), 0);
    assert_eq!(replayed(Policy::private(), &fields, many(20_000)).await.len(), 0);
    assert_eq!(replayed(Policy::private(), &fields, long(MOST_FIELD_BYTES)).await.len(), 1);
    assert_eq!(replayed(Policy::private(), &fields, long(MOST_FIELD_BYTES + 1)).await.len(), 0);
}

#[tokio::test]
async fn a_304_that_forbids_to_reuse_a_trailer_field_takes_it_out() {
    let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
    let trailers = map(&[("x-sum", "1"), ("x-other", "2")]);
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin(&fields, trailers));
    ask(&cache, get(PAGE)).await;
    assert_eq!(names(&ask(&cache, get(PAGE)).await), ["x-other", "x-sum"]);
    for _ in 0..2 {
        let seen = ask(&cache, request("GET", PAGE, &[("cache-control", "no-cache")])).await;
        assert_eq!((seen.text(), names(&seen)), ("hello", vec!["x-other".to_owned()]));
    }
    assert_eq!(names(&ask(&cache, get(PAGE)).await), ["x-other"]);
}

#[tokio::test]
async fn trailers_stored_under_other_settings_are_judged_anew() {
    let fields = [("cache-control", "max-age=60, private=\"x-user\"")];
    let storage = std::sync::Arc::new(MemoryStorage::new());
    let private = CacheLayer::new(storage.clone());
    let shared = CacheLayer::new(storage).policy(Policy::shared());
    let trailers = map(&[("x-user", "1")]);
    let (origin, key) = (origin(&fields, trailers), larder::key::CacheKey::builder().part("k", "v").build());
    let asked = || {
        let mut asked = get(PAGE);
        asked.extensions_mut().insert(larder::CacheOverride::new().with_key(key.clone()));
        asked
    };
    ask(&private.layer(origin.clone()), asked()).await;
    assert!(ask(&private.layer(origin.clone()), asked()).await.is_hit());
    assert!(!ask(&shared.layer(origin.clone()), asked()).await.is_hit());
}
