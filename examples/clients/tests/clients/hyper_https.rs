#[path = "../../examples/hyper_https.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use axum::Router;
use axum::http::Version;
use axum::routing::get;
use http::Request;
use http_body_util::{BodyExt, Empty};
use larder::CacheStatus;
use larder::storage::MemoryStorage;
use tower::ServiceExt;

use crate::origin::Origin;

async fn version(version: Version) -> ([(&'static str, &'static str); 1], String) {
    ([("cache-control", "max-age=60")], format!("over {version:?}"))
}

#[tokio::test]
async fn a_response_over_tls_is_stored_and_reused() {
    let (origin, roots) = Origin::https(Router::new().route("/", get(version))).await;
    let client = example::client(roots, MemoryStorage::new()).unwrap();
    for hit in [false, true] {
        let request = Request::get(&origin.url).body(Empty::new()).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.extensions().get::<CacheStatus>().unwrap().is_hit(), hit);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "over HTTP/2.0");
    }
    assert_eq!(origin.asked(), ["/"]);
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_an_error_and_no_response() {
    let (origin, _) = Origin::https(Router::new().route("/", get(version))).await;
    let (_, others) = Origin::https(Router::new()).await;
    let client = example::client(others, MemoryStorage::new()).unwrap();
    let request = Request::get(&origin.url).body(Empty::new()).unwrap();
    assert!(client.oneshot(request).await.unwrap_err().is_connect());
    assert!(origin.asked().is_empty());
}
