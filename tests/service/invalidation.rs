//! After a successful unsafe request nothing stored for its target answers any more, whatever its key (RFC 9111
//! section 4.4), and whatever the storage does.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use larder::key::{CacheKey, DefaultKey, RequestHead};
use larder::storage::{FileStorage, MemoryStorage, SqliteStorage};
use larder::{CacheLayer, CacheOverride};
use tower::{Layer, ServiceExt};

use crate::moody::{Mood, Moody};
use crate::support::{Origin, ask, clock, get, request, response};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=600");

fn origin() -> Origin {
    Origin::always(&[FRESH], "hello")
}

fn with(mut request: Request<Full<Bytes>>, wishes: CacheOverride) -> Request<Full<Bytes>> {
    request.extensions_mut().insert(wishes);
    request
}

/// As many as one response may invalidate one by one.
fn many_groups() -> &'static str {
    (0..128).map(|number| format!("\"group-{number}\"")).collect::<Vec<_>>().join(", ").leak()
}

/// A hit before, and none after `unsafe_request`.
async fn is_invalidated(
    layer: &CacheLayer,
    stored: impl Fn() -> Request<Full<Bytes>>,
    unsafe_request: Request<Full<Bytes>>,
) {
    let cache = layer.layer(origin());
    ask(&cache, stored()).await;
    assert!(ask(&cache, stored()).await.is_hit());
    ask(&cache, unsafe_request).await;
    assert!(!ask(&cache, stored()).await.is_hit());
}

async fn invalidates_under_all_keys(make: impl Fn() -> CacheLayer) {
    let plain = || get(PAGE);
    let forwarded = || request("GET", PAGE, &[("x-forwarded-host", "elsewhere.example")]);
    let origin_form = || request("GET", "/page", &[("host", "example.com")]);
    let named =
        || with(get(PAGE), CacheOverride::new().with_key(CacheKey::builder().part("mine", "1").build()));
    let of_user = || request("GET", PAGE, &[("authorization", "Bearer a")]);
    let stored: [&dyn Fn() -> Request<Full<Bytes>>; 5] = [&plain, &forwarded, &origin_form, &named, &of_user];
    for store in stored {
        for (method, uri, fields) in [
            ("POST", PAGE, &[][..]),
            ("DELETE", "HTTP://EXAMPLE.COM:80/x/../%70age", &[]),
            ("PUT", "/page", &[("host", "example.com")]),
            ("PATCH", PAGE, &[("authorization", "Bearer b")]),
            ("BREW", PAGE, &[("x-forwarded-host", "another.example")]),
        ] {
            is_invalidated(&make(), store, request(method, uri, fields)).await;
        }
        let key = CacheKey::builder().part("other", "2").build();
        for wishes in [
            CacheOverride::bypass(),
            CacheOverride::new().with_key(key),
            CacheOverride::new().with_no_store(),
        ] {
            is_invalidated(&make(), store, with(request("POST", PAGE, &[]), wishes)).await;
        }
    }
}

#[tokio::test]
async fn an_unsafe_request_invalidates_responses_under_all_keys() {
    let dir = tempfile::tempdir().unwrap();
    invalidates_under_all_keys(|| CacheLayer::new(MemoryStorage::new())).await;
    invalidates_under_all_keys(|| CacheLayer::new(SqliteStorage::in_memory().unwrap())).await;
    let number = std::sync::atomic::AtomicUsize::new(0);
    invalidates_under_all_keys(|| {
        let number = number.fetch_add(1, Ordering::SeqCst).to_string();
        CacheLayer::new(FileStorage::open(dir.path().join(number)).unwrap())
    })
    .await;
}

#[tokio::test]
async fn where_the_key_function_has_no_key_for_unsafe_methods() {
    let only_get = |request: &RequestHead<'_>| {
        (request.method == http::Method::GET)
            .then(|| CacheKey::builder().part(CacheKey::URI, request.uri.to_string()).build())
    };
    let layer = CacheLayer::new(MemoryStorage::new()).make_key(only_get);
    is_invalidated(&layer, || get(PAGE), request("POST", PAGE, &[])).await;
}

#[tokio::test]
async fn across_partitions() {
    let by_tenant =
        DefaultKey::new().partition_by(|request| Some(request.headers.get("x-tenant")?.as_bytes().to_vec()));
    let layer = CacheLayer::new(MemoryStorage::new()).make_key(by_tenant);
    let of_one = || request("GET", PAGE, &[("x-tenant", "one")]);
    is_invalidated(&layer, of_one, request("POST", PAGE, &[("x-tenant", "two")])).await;
}

#[tokio::test]
async fn requests_in_origin_form_and_absolute_ones_of_either_scheme_invalidate_each_other() {
    let (origin_form, secure) =
        (|| request("GET", "/page", &[("host", "example.com")]), "https://example.com/page");
    let layer = CacheLayer::new(MemoryStorage::new());
    is_invalidated(&layer, origin_form, request("POST", secure, &[])).await;
    let layer = CacheLayer::new(MemoryStorage::new());
    is_invalidated(&layer, || get(secure), request("POST", "/page", &[("host", "EXAMPLE.com")])).await;
    // Absolute ones of another scheme do not.
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin());
    ask(&cache, get(secure)).await;
    ask(&cache, request("POST", PAGE, &[])).await;
    assert!(ask(&cache, get(secure)).await.is_hit());
}

#[tokio::test]
async fn an_answer_for_several_queries_is_invalidated_with_any_of_them() {
    for storage in [true, false] {
        let origin = Origin::new(|asked, number| {
            let fields = [FRESH, ("no-vary-search", r#"params=("utm")"#)];
            let body = if number < 2 { "before" } else { "after" };
            Ok(response(200, if asked.method == "POST" { &fields[..1] } else { &fields }, body))
        });
        let layer = match storage {
            true => CacheLayer::new(MemoryStorage::new()),
            false => CacheLayer::new(SqliteStorage::in_memory().unwrap()),
        };
        let cache = layer.layer(origin);
        ask(&cache, get("http://example.com/p?id=1&utm=x")).await;
        assert!(ask(&cache, get("http://example.com/p?id=1")).await.is_hit());
        ask(&cache, request("POST", "http://example.com/p?id=1", &[])).await;
        for uri in
            ["http://example.com/p?id=2", "http://example.com/p?id=1", "http://example.com/p?id=1&utm=x"]
        {
            assert_eq!(ask(&cache, get(uri)).await.text(), "after", "{uri}");
        }
    }
}

#[tokio::test]
async fn no_clock_decides() {
    let storage = MemoryStorage::new();
    let (mine, theirs) = (clock(), clock());
    theirs.advance(Duration::from_secs(10 * 365 * 24 * 3600));
    let here = CacheLayer::new(storage.clone()).clock(mine.clone()).layer(origin());
    let ahead = CacheLayer::new(storage).clock(theirs).layer(origin());
    ask(&here, get(PAGE)).await;
    ask(&ahead, request("POST", PAGE, &[])).await;
    assert!(!ask(&here, get(PAGE)).await.is_hit());
    assert!(ask(&here, get(PAGE)).await.is_hit(), "stored after the invalidation, by a clock that is behind");
}

#[tokio::test]
async fn a_fill_under_way_brings_nothing_back() {
    let storage = MemoryStorage::new();
    let cache = CacheLayer::new(storage.clone()).layer(origin());
    let of = |tenant: &'static str| request("GET", PAGE, &[("x-forwarded-host", tenant)]);
    let under_way = cache.clone().oneshot(of("one")).await.unwrap();
    ask(&cache, request("POST", PAGE, &[])).await;
    http_body_util::BodyExt::collect(under_way.into_body()).await.unwrap();
    assert!(!ask(&cache, of("one")).await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn what_the_storage_does_not_invalidate_is_respected_and_tried_again() {
    for mood in [Mood::FailsToInvalidate, Mood::HangsOnInvalidating, Mood::FailsToWrite, Mood::HangsOnWrite] {
        let storage = Moody::new(Mood::Fine);
        let layer = CacheLayer::new(storage.clone());
        let cache = layer.layer(origin());
        for uri in [PAGE, "http://example.com/other"] {
            ask(&cache, get(uri)).await;
        }
        storage.set(mood);
        ask(&cache, request("POST", PAGE, &[])).await;
        for _ in 0..3 {
            assert!(!ask(&cache, get(PAGE)).await.is_hit(), "{mood:?}: not from before");
        }
        assert!(ask(&cache, get("http://example.com/other")).await.is_hit(), "{mood:?}: others still are");

        // Another process sees it as soon as the storage can be told.
        storage.set(Mood::Fine);
        tokio::time::sleep(Duration::from_secs(120)).await;
        let elsewhere = CacheLayer::new(storage.clone()).layer(origin());
        assert!(!ask(&elsewhere, get(PAGE)).await.is_hit(), "{mood:?}");
        assert!(ask(&cache, get(PAGE)).await.is_hit(), "{mood:?}: what is stored after it is used");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_hangs_costs_an_unsafe_request_one_deadline_and_the_next_nothing() {
    let groups = many_groups();
    let fields: &'static [(&str, &str)] =
        vec![("cache-group-invalidation", groups), ("location", "/a"), ("content-location", "/b")].leak();
    let layer = CacheLayer::new(Moody::new(Mood::Hangs)).storage_deadline(Duration::from_secs(2));
    let cache = layer.layer(Origin::always(fields, "done"));
    let began = tokio::time::Instant::now();
    ask(&cache, request("POST", PAGE, &[])).await;
    assert!(began.elapsed() <= Duration::from_millis(2100), "{:?}", began.elapsed());
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        ask(&cache, request("POST", PAGE, &[])).await;
    }
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_when_the_caller_goes_away() {
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(origin());
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::HangsOnInvalidating);
    let asking = cache.clone().oneshot(request("POST", PAGE, &[]));
    assert!(tokio::time::timeout(Duration::from_millis(10), asking).await.is_err(), "waits for the storage");
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    storage.set(Mood::Fine);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!ask(&CacheLayer::new(storage).layer(origin()), get("http://example.com/other")).await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn more_than_can_be_remembered_distrusts_everything_from_before() {
    let storage = Moody::new(Mood::Fine);
    let groups: &'static str = many_groups();
    let fields: &'static [(&str, &str)] = vec![FRESH, ("cache-group-invalidation", groups)].leak();
    // Another origin than the one whose page is stored.
    let origin = Origin::new(move |_, _| Ok(response(200, fields, "hello")));
    let cache = CacheLayer::new(storage.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::FailsToInvalidate);
    for number in 0..600 {
        ask(&cache, request("POST", &format!("http://{number}.example/"), &[])).await;
    }
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    storage.set(Mood::Fine);
    tokio::time::sleep(Duration::from_secs(120)).await;
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit(), "trusted again");
}

#[tokio::test]
async fn nothing_is_looked_up_for_a_method_that_nothing_stored_can_answer() {
    let storage = Moody::new(Mood::Fails);
    let cache = CacheLayer::new(storage).layer(origin());
    let seen = ask(&cache, request("DELETE", PAGE, &[])).await;
    assert_eq!(seen.cache().detail.as_deref().unwrap_or("method"), "method");
    assert_eq!(cache.counts().storage_errors, 1, "the invalidation alone");
}

#[tokio::test]
async fn an_unsafe_request_that_never_ends_invalidates_nothing() {
    let never = Arc::new(AtomicBool::new(false));
    let hangs = Arc::clone(&never);
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let hangs = Arc::clone(&hangs);
        async move {
            if request.method() == http::Method::POST {
                hangs.store(true, Ordering::SeqCst);
                pending::<()>().await;
            }
            Ok::<_, crate::support::BoxError>(response(200, &[FRESH], "hello"))
        }
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    ask(&cache, get(PAGE)).await;
    let asking = cache.clone().oneshot(request("POST", PAGE, &[]));
    assert!(tokio::time::timeout(Duration::from_millis(20), asking).await.is_err());
    assert!(never.load(Ordering::SeqCst) && ask(&cache, get(PAGE)).await.is_hit());
}
