#[path = "../../examples/stack.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use example::{Limits, Stack, stack};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http_body_util::{BodyExt, Empty};
use larder::status::Fwd;
use larder::storage::{MemoryStorage, StorageExt};
use larder::{CacheLayer, CacheStatus};
use tower::{BoxError, ServiceExt};

use crate::origin::Origin;

const GENEROUS: Limits =
    Limits { whole: Duration::from_secs(60), one_try: Duration::from_secs(30), retries: 2, per_second: 1000 };

fn layer() -> CacheLayer {
    CacheLayer::new(MemoryStorage::new())
}

async fn ask(stack: &Stack, url: &str) -> Result<(StatusCode, CacheStatus, String), BoxError> {
    let response = stack.clone().oneshot(Request::get(url).body(Empty::new())?).await?;
    let status = (response.status(), response.extensions().get::<CacheStatus>().unwrap().clone());
    let content = response.into_body().collect().await?.to_bytes();
    Ok((status.0, status.1, String::from_utf8(content.to_vec())?))
}

/// Compressed for those who take that, as `Vary` tells.
async fn page(headers: HeaderMap) -> Response {
    let fields = [("cache-control", "max-age=60"), ("vary", "accept-encoding")];
    let text = "hello ".repeat(1000);
    if headers.get("accept-encoding").is_none_or(|accepted| !accepted.to_str().unwrap().contains("gzip")) {
        return (fields, text).into_response();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    (fields, [("content-encoding", "gzip")], encoder.finish().unwrap()).into_response()
}

#[tokio::test]
async fn redirects_and_compressed_content_come_from_the_store() {
    let moved = || async { ([("cache-control", "max-age=60")], Redirect::permanent("/page")) };
    let origin = Origin::http(Router::new().route("/old", get(moved)).route("/page", get(page))).await;
    let storage = Arc::new(MemoryStorage::new());
    let stack = stack(CacheLayer::new(Arc::clone(&storage)), &GENEROUS);
    for hit in [false, true, true] {
        let (_, status, content) = ask(&stack, &format!("{}/old", origin.url)).await.unwrap();
        assert_eq!((status.is_hit(), content.len()), (hit, 6000));
    }
    assert_eq!(origin.asked(), ["/old", "/page"]);
    // What is stored is what was sent: compressed.
    let mut heads = storage.entries();
    let head = heads.next().await.unwrap().unwrap();
    assert_eq!(head.headers["content-encoding"], "gzip");
    assert!(head.body.unwrap().len < 1000);
}

#[tokio::test]
async fn a_failure_is_retried_before_the_cache_hears_of_it() {
    let failures = Arc::new(AtomicUsize::new(2));
    let moody = move || async move {
        let failed = failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if failed.is_ok() {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        } else {
            page(HeaderMap::new()).await
        }
    };
    let origin = Origin::http(Router::new().route("/", get(moody))).await;
    let stack = stack(layer(), &GENEROUS);
    let (code, status, _) = ask(&stack, &origin.url).await.unwrap();
    assert_eq!((code, status.stored), (StatusCode::OK, true));
    assert_eq!(origin.asked().len(), 3);
}

#[tokio::test]
async fn hits_are_not_limited_and_misses_are() {
    let origin = Origin::http(Router::new().fallback(page)).await;
    let stack = stack(layer(), &Limits { per_second: 1, ..GENEROUS });
    let began = Instant::now();
    for _ in 0..50 {
        ask(&stack, &origin.url).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(10), "50 hits at one request in a second");
    ask(&stack, &format!("{}/other", origin.url)).await.unwrap();
    ask(&stack, &format!("{}/third", origin.url)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(origin.asked().len(), 3);
}

#[tokio::test]
async fn an_origin_that_hangs_is_an_error_to_the_cache_which_has_something_stale() {
    let asked = Arc::new(AtomicUsize::new(0));
    let once = move || async move {
        if asked.fetch_add(1, Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
        ([("cache-control", "max-age=0, stale-if-error=60")], "from before")
    };
    let origin = Origin::http(Router::new().route("/", get(once))).await;
    let one_try = Duration::from_millis(300);
    let stack = stack(layer(), &Limits { one_try, retries: 1, ..GENEROUS });
    ask(&stack, &origin.url).await.unwrap();
    let (code, status, content) = ask(&stack, &origin.url).await.unwrap();
    assert_eq!((code, content.as_str()), (StatusCode::OK, "from before"));
    assert_eq!(status.fwd(), Some(Fwd::Stale));
    assert_eq!(origin.asked().len(), 3);
}

#[tokio::test]
async fn the_timeout_of_the_whole_is_an_error_to_the_caller() {
    let hangs = || std::future::pending::<()>();
    let origin = Origin::http(Router::new().route("/", get(hangs))).await;
    let stack = stack(layer(), &Limits { whole: Duration::from_millis(300), ..GENEROUS });
    let error = ask(&stack, &origin.url).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
}
