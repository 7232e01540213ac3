//! Following redirects inside the cache: what is asked next, what goes along, and for whom it is stored.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use larder::key::{CacheKey, DefaultKey, RequestHead};
use larder::redirect::RedirectHistory;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride, FollowLayer, Policy};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{BoxError, Origin, OriginBody, Seen, ask, clock, get, request, response, with_body};

const START: &str = "http://example.com/start";
const OTHER: &str = "http://other.example/end";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// `/start` redirects to `to`; everything else answers. Keeps what it was asked.
#[derive(Clone)]
struct Redirecting {
    origin: Origin,
    asked: Arc<Mutex<Vec<Parts>>>,
}

impl Redirecting {
    fn new(status: u16, to: &'static str) -> Self {
        let asked: Arc<Mutex<Vec<Parts>>> = Arc::default();
        let record = Arc::clone(&asked);
        let origin = Origin::new(move |parts, number| {
            record.lock().unwrap().push(parts.clone());
            Ok(match parts.uri.path() {
                "/start" => response(status, &[FRESH, ("location", to)], ""),
                _ => response(200, &[FRESH], Box::leak(format!("answer {number}").into_boxed_str())),
            })
        });
        Self { origin, asked }
    }

    fn under(&self, layer: &FollowLayer) -> larder::service::FollowRedirects<Origin> {
        layer.layer(self.origin.clone())
    }

    /// Sends a request through a new cache, and gives the answer and what the origin was asked after the first.
    async fn follow(&self, request: Request<Full<Bytes>>) -> (Seen, Option<Parts>) {
        let seen = ask(&self.under(&following()), request).await;
        let asked = self.asked.lock().unwrap().get(1).cloned();
        (seen, asked)
    }
}

fn following() -> FollowLayer {
    CacheLayer::new(MemoryStorage::new()).follow_redirects(10)
}

fn hops(seen: &Seen) -> usize {
    seen.extensions.get::<RedirectHistory>().unwrap().hops().len()
}

#[derive(Clone, Debug, PartialEq)]
struct User(&'static str);

fn by(user: &'static str, uri: &str) -> Request<Full<Bytes>> {
    let mut request = get(uri);
    request.extensions_mut().insert(User(user));
    request
}

#[tokio::test]
async fn a_partition_taken_from_an_extension_holds_on_the_way_to_another_origin() {
    let of_user = |request: &RequestHead<'_>| Some(request.extensions.get::<User>()?.0.as_bytes().to_vec());
    let own_keys = |request: &RequestHead<'_>| {
        let user = request.extensions.get::<User>()?.0;
        Some(CacheKey::builder().part("user", user).part("uri", request.uri.to_string()).build())
    };
    let layer = || CacheLayer::new(MemoryStorage::new());
    for (what, layer) in [
        ("partition_by", layer().make_key(DefaultKey::new().partition_by(of_user))),
        ("a MakeKey of the user's own", layer().make_key(own_keys)),
    ] {
        let origin = Redirecting::new(301, OTHER);
        let cache = origin.under(&layer.follow_redirects(10));
        assert_eq!(ask(&cache, by("ann", START)).await.text(), "answer 1", "{what}");
        assert_eq!(ask(&cache, by("bob", START)).await.text(), "answer 3", "{what}");
        for (user, answer) in [("ann", "answer 1"), ("bob", "answer 3")] {
            let seen = ask(&cache, by(user, START)).await;
            assert_eq!((seen.text(), seen.is_hit()), (answer, true), "{what}");
        }
        assert_eq!(origin.origin.count(), 4, "{what}");
    }
}

#[tokio::test]
async fn a_partition_taken_from_a_credential_holds_where_the_credential_does_not_go_along() {
    let of_user = |request: &RequestHead<'_>| Some(request.headers.get("authorization")?.as_bytes().to_vec());
    let origin = Redirecting::new(301, OTHER);
    let layer = CacheLayer::new(MemoryStorage::new()).make_key(DefaultKey::new().partition_by(of_user));
    let cache = origin.under(&layer.follow_redirects(10));
    let by = |user: &'static str| request("GET", START, &[("authorization", user)]);
    for (user, answer) in [("a", "answer 1"), ("b", "answer 3"), ("a", "answer 1"), ("b", "answer 3")] {
        assert_eq!(ask(&cache, by(user)).await.text(), answer, "{user}");
    }
    assert!(!origin.origin.last().headers.contains_key("authorization"));
}

#[tokio::test]
async fn overrides_apply_to_every_hop() {
    for to in ["/end", OTHER] {
        let wishing = |wishes: CacheOverride| {
            let mut request = get(START);
            request.extensions_mut().insert(wishes);
            request
        };
        let origin = Redirecting::new(301, to);
        let layer = CacheLayer::new(MemoryStorage::new());
        let cache = origin.under(&layer.clone().follow_redirects(10));
        for wishes in [CacheOverride::new().with_no_store(), CacheOverride::bypass()] {
            assert_eq!(hops(&ask(&cache, wishing(wishes)).await), 1);
            let usage = layer.storage().usage().await.unwrap();
            assert_eq!((usage.responses, usage.aliases), (0, 0), "{to}");
        }
        // The redirect is stored, what it leads to is not.
        ask(&layer.layer(origin.origin.clone()), get(START)).await;
        let seen = ask(&cache, wishing(CacheOverride::only_if_cached())).await;
        assert_eq!((seen.status.as_u16(), hops(&seen)), (504, 1), "{to}");
        ask(&cache, get(START)).await;
        let before = origin.origin.count();
        ask(&cache, wishing(CacheOverride::reload())).await;
        assert_eq!(origin.origin.count() - before, 2, "both are fetched again: {to}");
        let seen = ask(&cache, wishing(CacheOverride::only_if_cached())).await;
        assert_eq!((seen.status.as_u16(), hops(&seen)), (200, 1), "{to}");
    }
}

#[tokio::test]
async fn lifetime_and_groups_hold_for_every_hop() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.uri.path() {
            "/start" => response(301, &[FRESH, ("location", OTHER)], ""),
            _ => response(200, &[FRESH], "the end"),
        })
    });
    let clock = clock();
    let layer = CacheLayer::new(MemoryStorage::new()).clock(clock.clone());
    let cache = layer.clone().follow_redirects(10).layer(origin.clone());
    let mut wishing = get(START);
    let wishes = CacheOverride::new().with_lifetime(Duration::from_secs(600)).with_groups(["mine"]);
    wishing.extensions_mut().insert(wishes);
    ask(&cache, wishing).await;
    clock.advance(Duration::from_secs(300));
    assert!(ask(&cache, get(START)).await.is_hit());
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_key_of_the_users_own_names_only_the_first_hop() {
    for to in ["/end", OTHER] {
        let origin = Redirecting::new(301, to);
        let layer = CacheLayer::new(MemoryStorage::new());
        let cache = origin.under(&layer.clone().follow_redirects(10));
        let keyed = || {
            let mut request = get(START);
            let key = CacheKey::builder().part("report", "june").build();
            request.extensions_mut().insert(CacheOverride::new().with_key(key));
            request
        };
        for _ in 0..2 {
            let seen = ask(&cache, keyed()).await;
            assert_eq!((seen.status.as_u16(), seen.text(), hops(&seen)), (200, "answer 1", 1), "{to}");
        }
        assert_eq!(origin.origin.count(), 2);
        let usage = layer.storage().usage().await.unwrap();
        assert_eq!((usage.responses, usage.aliases), (1, 1));
        let end = if to == OTHER { OTHER } else { "http://example.com/end" };
        assert!(ask(&cache, get(end)).await.is_hit(), "the end has the key of its URI");
        ask(&cache, get(START)).await;
        assert_eq!(origin.origin.count(), 3, "the start has not");
    }
}

const STAY: &[(&str, &str)] = &[
    ("authorization", "Basic x"),
    ("proxy-authorization", "Basic x"),
    ("cookie", "a=b"),
    ("x-api-key", "k"),
    ("x-auth-token", "t"),
    ("x-amz-security-token", "t"),
    ("x-session-id", "s"),
    ("x-client-secret", "s"),
    ("host", "example.com"),
    ("referer", "http://example.com/secret"),
    ("x-forwarded-host", "example.com"),
    ("x-original-url", "/admin"),
    ("forwarded", "host=example.com"),
];

#[tokio::test]
async fn credentials_and_what_is_meant_for_one_origin_stay_behind() {
    let go = [
        ("accept", "text/html"),
        ("x-who", "me"),
        ("cache-control", "max-stale"),
        ("if-none-match", "\"a\""),
    ];
    let fields: Vec<_> = STAY.iter().chain(&go).copied().collect();
    let here = ["/end", "http://EXAMPLE.com:80/end"];
    let elsewhere = [
        OTHER,
        "//other.example/end",
        "https://example.com/end",
        "http://example.com:8080/end",
        "http://sub.example.com/",
    ];
    for to in here {
        let (_, asked) = Redirecting::new(307, to).follow(request("GET", START, &fields)).await;
        let asked = asked.unwrap();
        for (name, value) in &fields {
            assert_eq!(asked.headers[*name], *value, "{to}");
        }
    }
    for to in elsewhere {
        let (_, asked) = Redirecting::new(307, to).follow(request("GET", START, &fields)).await;
        let asked = asked.unwrap();
        for (name, _) in STAY {
            assert!(!asked.headers.contains_key(*name), "{name} to {to}");
        }
        for (name, value) in go {
            assert_eq!(asked.headers[name], value, "{to}");
        }
    }
    // The other way round, and there are none left to send.
    let (_, asked) = Redirecting::new(307, "http://example.com/end")
        .follow(request("GET", "https://example.com/start", STAY))
        .await;
    assert_eq!(asked.unwrap().headers.len(), 0);
}

#[tokio::test]
async fn userinfo_goes_along_only_where_the_reference_is_relative() {
    for (to, expected) in [
        ("/end", "http://ann:1@example.com/end"),
        (OTHER, OTHER),
        ("//example.com/end", "http://example.com/end"),
    ] {
        let (_, asked) = Redirecting::new(302, to).follow(get("http://ann:1@example.com/start")).await;
        assert_eq!(asked.unwrap().uri, expected);
    }
}

#[tokio::test]
async fn a_value_marked_sensitive_stays_behind() {
    let mut sensitive = HeaderValue::from_static("4711");
    sensitive.set_sensitive(true);
    let mut request = get(START);
    request.headers_mut().insert("x-account", sensitive);
    let (_, asked) = Redirecting::new(302, OTHER).follow(request).await;
    assert!(!asked.unwrap().headers.contains_key("x-account"));
}

#[tokio::test]
async fn credentials_that_stayed_behind_do_not_come_back_with_the_chain() {
    let origin = Origin::new(|parts, _| {
        Ok(match (parts.uri.host(), parts.uri.path()) {
            (_, "/start") => response(302, &[("location", "http://other.example/back")], ""),
            (Some("other.example"), _) => response(302, &[("location", "http://example.com/end")], ""),
            _ => response(200, &[], "the end"),
        })
    });
    let cache = following().layer(origin.clone());
    let seen = ask(&cache, request("GET", START, &[("authorization", "x"), ("cookie", "a=b")])).await;
    assert_eq!((seen.text(), hops(&seen)), ("the end", 2));
    let asked = origin.last();
    assert_eq!(asked.uri, "http://example.com/end");
    assert_eq!(asked.headers.len(), 0);
}

#[tokio::test]
async fn the_user_names_fields_that_go_along_but_host_never_does() {
    let names = ["x-api-key", "authorization", "host", "referer"].map(HeaderName::from_static);
    let layer = names.into_iter().fold(following(), FollowLayer::carry_field);
    let origin = Redirecting::new(302, OTHER);
    ask(&origin.under(&layer), request("GET", START, STAY)).await;
    let asked = origin.origin.last();
    let mut gone: Vec<_> = asked.headers.keys().map(HeaderName::as_str).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["authorization", "referer", "x-api-key"]);
}

#[tokio::test]
async fn origin_says_null_once_a_request_comes_from_elsewhere() {
    for (origin, to, expected) in [
        ("http://example.com", OTHER, "http://example.com"),
        ("http://third.example", OTHER, "null"),
        ("http://third.example", "/end", "http://third.example"),
    ] {
        let (_, asked) = Redirecting::new(302, to).follow(request("GET", START, &[("origin", origin)])).await;
        assert_eq!(asked.unwrap().headers["origin"], expected);
    }
}

#[tokio::test]
async fn extensions_go_to_the_same_origin_and_elsewhere_only_if_the_user_names_them() {
    #[derive(Clone)]
    struct Deadline;
    let asks = || {
        let mut request = by("ann", START);
        request.extensions_mut().insert(Deadline);
        request.extensions_mut().insert(CacheOverride::reload());
        request
    };
    for (to, layer, user, deadline) in [
        ("/end", following(), true, true),
        (OTHER, following(), false, false),
        (OTHER, following().carry_extension::<Deadline>(), false, true),
        (OTHER, following().carry_extension::<Deadline>().carry_extension::<User>(), true, true),
    ] {
        let origin = Redirecting::new(302, to);
        ask(&origin.under(&layer), asks()).await;
        let extensions = origin.origin.last().extensions;
        assert_eq!(extensions.get::<User>().is_some(), user, "{to}");
        assert_eq!(extensions.get::<Deadline>().is_some(), deadline, "{to}");
        assert_eq!(extensions.len(), usize::from(user) + usize::from(deadline), "nothing of the cache's own");
    }
}

#[tokio::test]
async fn nothing_of_the_caches_own_reaches_the_origin_by_any_way() {
    for (method, wishes) in
        [("GET", CacheOverride::bypass()), ("OPTIONS", CacheOverride::new()), ("POST", CacheOverride::new())]
    {
        let mut request = request(method, START, &[]);
        if method != "OPTIONS" {
            request.extensions_mut().insert(wishes);
        }
        let (_, asked) = Redirecting::new(307, OTHER).follow(request).await;
        assert!(asked.unwrap().extensions.is_empty(), "{method}");
    }
    // A background validation is made from what was asked.
    let stale = [("cache-control", "max-age=1, stale-while-revalidate=600"), ("etag", "\"a\"")];
    let origin = Origin::new(move |parts, _| {
        assert!(parts.extensions.is_empty());
        Ok(match parts.uri.path() {
            "/start" => response(301, &[FRESH, ("location", OTHER)], ""),
            _ => response(200, &stale, "the end"),
        })
    });
    let clock = clock();
    let cache =
        CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).follow_redirects(1).layer(origin.clone());
    ask(&cache, get(START)).await;
    clock.advance(Duration::from_secs(10));
    assert!(ask(&cache, get(START)).await.is_hit());
    tokio::time::timeout(Duration::from_secs(5), async {
        while origin.count() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a validation in the background");
}

fn with_content(method: &str, content: &'static str) -> Request<Full<Bytes>> {
    let fields = [
        ("content-type", "text/plain"),
        ("content-language", "de"),
        ("content-digest", "sha-256=:x:"),
        ("expect", "100-continue"),
        ("x-http-method-override", "PUT"),
        ("accept", "*/*"),
    ];
    request(method, START, &fields).map(|_| Full::from(content))
}

/// RFC 9110 sections 15.4.2 to 15.4.9.
#[tokio::test]
async fn the_next_request_has_the_method_that_the_status_asks_for() {
    // Status, method, content; then the method of the next request, or none.
    let cases = [
        (301, "GET", "", Some("GET")),
        (301, "HEAD", "", Some("HEAD")),
        (301, "POST", "", Some("GET")),
        (301, "POST", "x", Some("GET")),
        (301, "PUT", "", Some("PUT")),
        (301, "PUT", "x", None),
        (301, "GET", "x", None),
        (302, "POST", "x", Some("GET")),
        (302, "DELETE", "", Some("DELETE")),
        (302, "QUERY", "x", None),
        (303, "GET", "", Some("GET")),
        (303, "GET", "x", Some("GET")),
        (303, "HEAD", "", Some("HEAD")),
        (303, "POST", "x", Some("GET")),
        (303, "PUT", "x", Some("GET")),
        (303, "QUERY", "x", Some("GET")),
        (303, "DELETE", "", Some("GET")),
        (307, "GET", "", Some("GET")),
        (307, "POST", "", Some("POST")),
        (307, "POST", "x", None),
        (308, "PUT", "x", None),
        (308, "PATCH", "", Some("PATCH")),
        (308, "OPTIONS", "", Some("OPTIONS")),
        (300, "GET", "", None),
        (304, "GET", "", None),
        (305, "GET", "", None),
        (306, "GET", "", None),
        (201, "POST", "x", None),
    ];
    for (status, method, content, next) in cases {
        for to in ["/end", OTHER] {
            let what = format!("{status} {method} {content:?} {to}");
            let (seen, asked) = Redirecting::new(status, to).follow(with_content(method, content)).await;
            assert_eq!(asked.as_ref().map(|asked| asked.method.as_str()), next, "{what}");
            let Some(asked) = asked else {
                assert_eq!((seen.status.as_u16(), hops(&seen)), (status, 0), "{what}");
                continue;
            };
            assert_eq!((seen.status.as_u16(), hops(&seen)), (200, 1), "{what}");
            let kept = asked.method == method && status != 303;
            for name in
                ["content-type", "content-language", "content-digest", "expect", "x-http-method-override"]
            {
                assert_eq!(asked.headers.contains_key(name), kept, "{what}: {name}");
            }
            assert!(asked.headers.contains_key("accept"), "{what}");
        }
    }
}

#[tokio::test]
async fn a_request_that_lost_its_content_is_not_named_by_it() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.uri.path() {
            "/start" => response(303, &[("location", "/end")], ""),
            _ => response(200, &[FRESH], "the end"),
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let below = tower::service_fn(move |request: Request<larder::KeyedBody<Full<Bytes>>>| {
        let told = request.extensions().get::<larder::key::RequestContent>().is_some();
        assert!(!told || request.uri().path() == "/start");
        origin.clone().oneshot(request.map(|_| Full::default()))
    });
    let stack = ServiceBuilder::new()
        .layer(layer.key_content())
        .layer(layer.clone().follow_redirects(10))
        .service(below);
    for method in ["QUERY", "GET"] {
        ask(&stack, with_content(method, "select")).await;
        let seen = ask(&stack, get("http://example.com/end")).await;
        assert!(seen.is_hit(), "stored as what it is, a GET without content: {method}");
        layer.storage().clear(None).await.unwrap();
    }
}

#[tokio::test]
async fn what_leads_to_no_http_uri_is_the_answer_itself() {
    for to in [
        "ftp://example.com/",
        "mailto:a@example.com",
        "file:///etc/passwd",
        "http://",
        "javascript:x",
        "http:///x",
    ] {
        let (seen, asked) = Redirecting::new(302, to).follow(get(START)).await;
        assert_eq!((seen.status.as_u16(), hops(&seen)), (302, 0), "{to}");
        assert!(asked.is_none());
    }
    for fields in [vec![], vec![("location", "/a"), ("location", "/b")], vec![("location", "/a\u{1}")]] {
        let count = fields.len();
        let origin = Origin::new(move |_, _| {
            let mut redirect = response(302, &[], "");
            for (name, value) in &fields {
                let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
                redirect.headers_mut().append(*name, value);
            }
            Ok(redirect)
        });
        let seen = ask(&following().layer(origin.clone()), get(START)).await;
        assert_eq!((seen.status.as_u16(), origin.count()), (302, 1), "{count}");
    }
}

#[tokio::test]
async fn a_location_beyond_ascii_is_escaped_and_followed() {
    let origin = Origin::new(|parts, _| {
        let mut redirect = response(302, &[], "");
        if parts.uri.path() != "/start" {
            return Ok(response(200, &[], "the end"));
        }
        redirect.headers_mut().insert("location", HeaderValue::from_bytes("/caf\u{e9}".as_bytes())?);
        Ok(redirect)
    });
    assert_eq!(ask(&following().layer(origin.clone()), get(START)).await.text(), "the end");
    assert_eq!(origin.last().uri, "http://example.com/caf%C3%A9");
}

#[tokio::test]
async fn no_limit_is_beyond_a_hundred() {
    let origin = Origin::new(|parts, _| {
        let next = format!("{}x", parts.uri.path());
        Ok(response(302, &[("location", &next)], ""))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).follow_redirects(usize::MAX).layer(origin.clone());
    let seen = ask(&cache, get(START)).await;
    assert_eq!((seen.status.as_u16(), hops(&seen), origin.count()), (302, 100, 101));
    let none = CacheLayer::new(MemoryStorage::new()).follow_redirects(0).layer(origin);
    assert_eq!(hops(&ask(&none, get(START)).await), 0);
}

/// A body that counts how much of it was read, and never ends if `endless`.
struct Counted {
    read: Arc<AtomicUsize>,
    left: usize,
    stalls: bool,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        use std::task::Poll;
        if self.left == 0 {
            if self.stalls {
                return Poll::Pending;
            }
            self.read.fetch_or(1 << 40, Ordering::SeqCst);
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.read.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::new()))))
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_redirect_is_read_to_its_end_within_bounds() {
    for (frames, stalls, at_its_end) in [(10, false, true), (usize::MAX, false, false), (10, true, false)] {
        let read = Arc::new(AtomicUsize::new(0));
        let reads = Arc::clone(&read);
        let origin = Origin::new(move |parts, _| {
            let body: OriginBody = Counted { read: Arc::clone(&reads), left: frames, stalls }.boxed_unsync();
            Ok(match parts.uri.path() {
                "/start" => with_body(302, &[("location", "/end")], body),
                _ => response(200, &[], "the end"),
            })
        });
        let began = tokio::time::Instant::now();
        let seen = ask(&following().layer(origin), get(START)).await;
        assert_eq!(seen.text(), "the end");
        assert!(began.elapsed() < Duration::from_secs(1));
        let read = read.load(Ordering::SeqCst);
        assert_eq!(read & 1 << 40 != 0, at_its_end);
        assert!(read & !(1 << 40) < 1000, "{read}");
    }
}

/// Must be polled ready before each call; takes so long that others could come in between.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = http::Response<OriginBody>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        self.ready = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        let step: u32 = request.uri().path().trim_start_matches('/').parse().unwrap();
        let next = format!("/{}", step + 1);
        std::future::ready(Ok(match step {
            5 => response(200, &[FRESH], "the end"),
            _ => response(302, &[FRESH, ("location", &next)], "see there"),
        }))
    }
}

#[tokio::test]
async fn every_hop_calls_a_service_that_was_polled_ready_and_holds_no_other() {
    let stack = ServiceBuilder::new().layer(following()).concurrency_limit(1).service(Strict::default());
    let asking = (0..20).map(|number| {
        let stack = stack.clone();
        // What passes the cache by is handed on in other places.
        let method = if number % 3 == 0 { "OPTIONS" } else { "GET" };
        let mut request = request(method, &format!("http://example.com/{}", number % 5), &[]);
        if number % 3 == 1 {
            request.extensions_mut().insert(CacheOverride::bypass());
        }
        async move { ask(&stack, request).await }
    });
    let all = futures_util::future::join_all(asking);
    for seen in tokio::time::timeout(Duration::from_secs(10), all).await.expect("no deadlock") {
        assert_eq!(seen.text(), "the end");
    }
}

#[tokio::test]
async fn the_error_of_a_later_hop_comes_through_unchanged() {
    let origin = Origin::new(|parts, _| match parts.uri.path() {
        "/start" => Ok(response(302, &[FRESH, ("location", "/end")], "")),
        _ => Err("no route to host".into()),
    });
    let error = following().layer(origin).oneshot(get(START)).await.unwrap_err();
    assert_eq!(error.to_string(), "no route to host");
}

/// RFC 9111 section 3.5: what a hop was asked without credentials is judged as that.
#[tokio::test]
async fn in_a_shared_cache_each_hop_is_judged_by_the_fields_it_was_asked_with() {
    let origin = Redirecting::new(301, OTHER);
    let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared());
    let cache = origin.under(&layer.follow_redirects(10));
    let asks = || request("GET", START, &[("authorization", "Basic x")]);
    ask(&cache, asks()).await;
    let seen = ask(&cache, asks()).await;
    assert!(seen.is_hit(), "no credentials were sent there");
    assert_eq!(origin.origin.count(), 3, "the redirect, asked for with credentials, is not stored");
}

/// A key function that sends another URI than it is given: redirects are relative to the one that answered.
struct Moved;

impl larder::key::MakeKey for Moved {
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey> {
        DefaultKey::new().make_key(request)
    }

    fn rewrite(&self, uri: &http::Uri) -> Option<http::Uri> {
        (uri.path() == "/start").then(|| "http://example.com/deep/down/start".parse().unwrap())
    }
}

#[tokio::test]
async fn a_redirect_is_relative_to_the_uri_that_answered() {
    let origin = Origin::new(|parts, _| {
        let mut redirect = response(302, &[("location", "end")], "");
        Ok(match parts.uri.path() {
            "/end" | "/deep/down/end" | "/elsewhere/end" => response(200, &[], "the end"),
            "/below" => {
                let answered = larder::redirect::AnsweredBy("http://example.com/elsewhere/x".parse()?);
                redirect.extensions_mut().insert(answered);
                redirect
            }
            _ => redirect,
        })
    });
    let moved =
        CacheLayer::new(MemoryStorage::new()).make_key(Moved).follow_redirects(1).layer(origin.clone());
    assert_eq!(ask(&moved, get(START)).await.text(), "the end");
    assert_eq!(origin.last().uri, "http://example.com/deep/down/end");
    let cache = following().layer(origin.clone());
    assert_eq!(ask(&cache, get("http://example.com/below")).await.text(), "the end");
    assert_eq!(origin.last().uri, "http://example.com/elsewhere/end");
}

/// Another origin answered below the cache: that it redirects back gives it no credentials of ours.
#[tokio::test]
async fn who_was_asked_without_credentials_does_not_get_them_sent() {
    let origin = Origin::new(|parts, _| {
        let mut redirect = response(302, &[("location", "http://example.com/end")], "");
        redirect.extensions_mut().insert(larder::redirect::AnsweredBy("http://other.example/".parse()?));
        Ok(if parts.uri.path() == "/start" { redirect } else { response(200, &[], "the end") })
    });
    let cache = following().layer(origin.clone());
    assert_eq!(ask(&cache, request("GET", START, STAY)).await.text(), "the end");
    assert_eq!(origin.last().headers.len(), 0);
}

/// RFC 9110 section 13.2.1: preconditions are ignored where the answer without them is no 2xx.
#[tokio::test]
async fn a_stored_redirect_answers_no_range_and_no_precondition() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.uri.path() {
            "/start" => response(301, &[FRESH, ("etag", "\"a\""), ("location", "/end")], "see there"),
            _ => response(200, &[FRESH], "the end"),
        })
    });
    let cache = following().layer(origin.clone());
    for _ in 0..2 {
        for field in [("if-none-match", "\"a\""), ("if-none-match", "*"), ("range", "bytes=0-1")] {
            let seen = ask(&cache, request("GET", START, &[field])).await;
            assert_eq!(hops(&seen), 1, "{field:?}");
            assert_ne!(seen.text(), "see there");
        }
        ask(&cache, get(START)).await;
    }
}
