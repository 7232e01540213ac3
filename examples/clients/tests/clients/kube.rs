#[path = "../../examples/kube.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use kube::Config;
use larder::CacheLayer;
use larder::storage::MemoryStorage;

use crate::origin::Origin;

const GROUPS: &str = r#"{"kind": "APIGroupList", "apiVersion": "v1", "groups": [
    {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]}]}"#;

#[tokio::test]
async fn discovery_is_confirmed_and_not_sent_again() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    // The fields of an API server.
    let apis = move |fields: HeaderMap| async move {
        let common = [
            ("cache-control", "no-cache, private"),
            ("etag", "\"D1EA\""),
            ("vary", "Accept"),
            ("content-type", "application/json"),
        ];
        if fields.get("if-none-match").is_some_and(|known| known == "\"D1EA\"") {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        counted.fetch_add(1, Ordering::Relaxed);
        (common, GROUPS).into_response()
    };
    // As of Rancher: the base URI has a path.
    let origin = Origin::http(Router::new().route("/k8s/one/apis", get(apis))).await;
    let config = Config::new(format!("{}/k8s/one", origin.url).parse().unwrap());
    let cache = CacheLayer::new(MemoryStorage::new());
    let client = example::client(&config, "alice@one", cache.clone()).unwrap();
    for _ in 0..3 {
        let groups = client.list_api_groups().await.unwrap();
        assert_eq!(groups.groups[0].name, "apps");
    }
    assert_eq!((sent.load(Ordering::Relaxed), origin.asked().len()), (1, 3));

    let other = example::client(&config, "bob@one", cache).unwrap();
    other.list_api_groups().await.unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 2, "another user has a partition of his own");
}
