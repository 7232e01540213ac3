//! `CacheLayer::purge` removes everything that is stored for a URI, and nothing else.

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use larder::key::DefaultKey;
use larder::storage::{DynStorage, FileStorage, MemoryStorage, SqliteStorage, StorageErrorKind, StorageExt};
use larder::{CacheLayer, KeyedBody, Policy};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::moody::{Mood, Moody};
use crate::support::{BoxError, Origin, ask, get, request, response};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=600");

fn page() -> Uri {
    PAGE.parse().unwrap()
}

async fn stored_uris(storage: &dyn DynStorage) -> Vec<String> {
    let (mut uris, mut entries) = (Vec::new(), storage.entries());
    while let Some(head) = entries.next().await {
        uris.push(head.unwrap().uri.clone());
    }
    let mut aliases = storage.alias_entries();
    while let Some(alias) = aliases.next().await {
        uris.push(alias.unwrap().response.head.uri.clone());
    }
    uris.sort();
    uris
}

/// Ten that go: methods, contents, variants, partitions, principals, spellings, both forms of a target; and four that stay.
async fn everything_of_a_url(layer: CacheLayer) {
    let by_tenant =
        DefaultKey::new().partition_by(|request| Some(request.headers.get("x-tenant")?.as_bytes().to_vec()));
    let layer = layer.policy(Policy::private().methods([Method::POST])).make_key(by_tenant);
    let origin = service_fn(|request: Request<KeyedBody<Full<Bytes>>>| async move {
        request.into_body().collect().await?;
        Ok::<_, BoxError>(response(200, &[FRESH, ("vary", "accept-language")], "hello"))
    });
    let cache = ServiceBuilder::new().layer(layer.key_content()).layer(layer.clone()).service(origin);
    let with_content = |method: &str, content: &'static str| {
        let request = Request::builder().method(method).uri(PAGE).header("content-type", "text/plain");
        request.body(Full::from(content)).unwrap()
    };
    let gone = || {
        [
            // First: it invalidates the others.
            with_content("POST", "teapot"),
            get(PAGE),
            request("GET", PAGE, &[("accept-language", "en")]),
            request("GET", PAGE, &[("accept-language", "de")]),
            request("GET", PAGE, &[("x-tenant", "one")]),
            request("GET", PAGE, &[("x-tenant", "two")]),
            request("GET", PAGE, &[("authorization", "Bearer a")]),
            request("GET", "http://example.com/x/../%70age", &[]),
            request("GET", "/page", &[("host", "example.com")]),
            with_content("QUERY", "kettle"),
        ]
    };
    let others =
        ["http://example.com/page?", "http://example.com/", "https://example.com/page", "http://a/page"];
    for request in gone().into_iter().chain(others.map(get)) {
        ask(&cache, request).await;
    }
    layer.flush().await;
    for request in gone() {
        let shown = format!("{request:?}");
        assert!(ask(&cache, request).await.is_hit(), "{shown}");
    }

    assert_eq!(layer.purge(&"HTTP://user@EXAMPLE.com:80/./page".parse().unwrap()).await.unwrap(), 10);
    let mut left = others.map(str::to_owned);
    left.sort();
    assert_eq!(stored_uris(&**layer.storage()).await, left);
    for uri in others {
        assert!(ask(&cache, get(uri)).await.is_hit(), "{uri}");
    }
    for request in gone() {
        let shown = format!("{request:?}");
        assert!(!ask(&cache, request).await.is_hit(), "{shown}");
    }
}

#[tokio::test]
async fn everything_of_a_url_goes_and_other_urls_stay() {
    let dir = tempfile::tempdir().unwrap();
    everything_of_a_url(CacheLayer::new(MemoryStorage::new())).await;
    everything_of_a_url(CacheLayer::new(SqliteStorage::in_memory().unwrap())).await;
    everything_of_a_url(CacheLayer::new(FileStorage::open(dir.path()).unwrap())).await;
}

#[tokio::test]
async fn redirects_from_it_go_and_what_they_lead_to_stays() {
    let origin = Origin::new(|asked, _| match asked.uri.path() {
        "/page" => Ok(response(301, &[FRESH, ("location", "/target")], "")),
        _ => Ok(response(200, &[FRESH], "hello")),
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.clone().follow_redirects(3).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    assert_eq!(layer.purge(&page()).await.unwrap(), 1);
    assert_eq!(stored_uris(&**layer.storage()).await, ["http://example.com/target"]);
    ask(&cache, get(PAGE)).await;
    assert_eq!(origin.count(), 3, "the redirect again");
}

#[tokio::test]
async fn an_answer_for_several_queries_goes_with_any_of_them() {
    let origin = Origin::always(&[FRESH, ("no-vary-search", r#"params=("utm")"#)], "hello");
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin);
    ask(&cache, get("http://example.com/page?id=1&utm=x")).await;
    assert!(ask(&cache, get("http://example.com/page?id=1")).await.is_hit());
    let removed = layer.purge(&"http://example.com/page?id=1".parse().unwrap()).await.unwrap();
    assert_eq!((removed, layer.storage().is_empty().await.unwrap()), (1, true), "its notes are not counted");
    assert!(!ask(&cache, get("http://example.com/page?id=1&utm=x")).await.is_hit());
}

#[tokio::test]
async fn what_the_key_takes_for_the_same_uri_goes_in_every_partition() {
    let keys = DefaultKey::new()
        .ignore_query_parameters(["utm"])
        .partition_by(|request| Some(request.headers.get("x-tenant")?.as_bytes().to_vec()));
    let layer = CacheLayer::new(MemoryStorage::new()).make_key(keys);
    let cache = layer.layer(Origin::always(&[FRESH], "hello"));
    for tenant in ["one", "two"] {
        ask(&cache, request("GET", "http://example.com/page?utm=x", &[("x-tenant", tenant)])).await;
    }
    assert_eq!(layer.purge(&page()).await.unwrap(), 2);
}

/// Whatever the key is, also where one removal could not have fenced it off.
#[tokio::test]
async fn a_fill_under_way_does_not_come_back() {
    for tenant in [&[][..], &[("authorization", "Bearer a")]] {
        let layer = CacheLayer::new(MemoryStorage::new());
        let cache = layer.layer(Origin::always(&[FRESH], "hello"));
        let under_way = cache.clone().oneshot(request("GET", PAGE, tenant)).await.unwrap();
        layer.purge(&page()).await.unwrap();
        under_way.into_body().collect().await.unwrap();
        layer.flush().await;
        assert!(!ask(&cache, request("GET", PAGE, tenant)).await.is_hit(), "{tenant:?}");
        assert!(ask(&cache, request("GET", PAGE, tenant)).await.is_hit(), "{tenant:?}: stored since");
    }
}

#[tokio::test]
async fn more_than_one_page_of_the_listing_goes() {
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(Origin::always(&[FRESH], "hello"));
    for number in 0..600 {
        let uri = if number % 2 == 0 { PAGE.to_owned() } else { format!("{PAGE}/{number}") };
        ask(&cache, request("GET", &uri, &[("authorization", &format!("Bearer {number}"))])).await;
    }
    layer.flush().await;
    assert_eq!(layer.storage().len().await.unwrap(), 600);
    assert_eq!(layer.purge(&page()).await.unwrap(), 300);
    assert_eq!(layer.storage().len().await.unwrap(), 300);
    assert_eq!(cache.purge(&page()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_uri_that_is_not_absolute_is_an_error() {
    let layer = CacheLayer::new(MemoryStorage::new());
    let error = layer.purge(&"/page".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Invalid);
    assert!(error.to_string().contains("scheme and host"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_the_storage_does_not_do_is_an_error_and_nothing_of_the_url_answers() {
    for (mood, kind) in [
        (Mood::FailsToInvalidate, StorageErrorKind::Unavailable),
        (Mood::HangsOnInvalidating, StorageErrorKind::Timeout),
        (Mood::FailsToRemove, StorageErrorKind::Unavailable),
        (Mood::HangsOnWrite, StorageErrorKind::Timeout),
    ] {
        let storage = Moody::new(Mood::Fine);
        let layer = CacheLayer::new(storage.clone());
        let cache = layer.layer(Origin::always(&[FRESH], "hello"));
        ask(&cache, get(PAGE)).await;
        storage.set(mood);
        for _ in 0..2 {
            assert_eq!(layer.purge(&page()).await.unwrap_err().kind(), kind, "{mood:?}");
        }
        assert!(!ask(&cache, get(PAGE)).await.is_hit(), "{mood:?}");
        storage.set(Mood::Fine);
        layer.purge(&page()).await.unwrap();
        assert_eq!(stored_uris(&storage).await, [""; 0], "{mood:?}");
    }
}
