//! `No-Vary-Search` through the layer.

use std::time::Duration;

use larder::storage::{FileStorage, MemoryStorage, SqliteStorage, Storage};
use larder::{CacheLayer, Policy};
use tower::Layer;

use crate::support::{Origin, ask, clock, get, request, response};

const FIELDS: &[(&str, &str)] =
    &[("cache-control", "max-age=60"), ("etag", "\"a\""), ("no-vary-search", "key-order, params=(\"utm\")")];

/// Answers with the path and query that were asked for, or with 304.
fn echo() -> Origin {
    Origin::new(|asked, _| {
        let status = if asked.headers.contains_key("if-none-match") { 304 } else { 200 };
        let body: &'static str = Box::leak(asked.uri.to_string().into_boxed_str());
        Ok(response(status, FIELDS, if status == 304 { "" } else { body }))
    })
}

async fn equivalent_queries_in(storage: impl Storage) {
    let origin = echo();
    let cache = CacheLayer::new(storage).layer(origin.clone());
    let first = "http://example.com/a?x=1&y=2&utm=mail";
    ask(&cache, get(first)).await;
    for query in ["?x=1&y=2&utm=mail", "?y=2&x=1", "?utm=web&x=1&y=%32", "?x=1&&y=2"] {
        let seen = ask(&cache, get(&format!("http://example.com/a{query}"))).await;
        assert!(seen.is_hit(), "{query}");
        assert_eq!(seen.text(), first);
    }
    assert_eq!(origin.count(), 1);
    for other in ["/a?x=2&y=2", "/a", "/b?x=1&y=2"] {
        assert!(!ask(&cache, get(&format!("http://example.com{other}"))).await.is_hit(), "{other}");
    }
    // The way to the first is still known.
    assert!(ask(&cache, get("http://example.com/a?utm=1&y=2&x=1")).await.is_hit());
}

#[tokio::test]
async fn one_response_answers_for_equivalent_queries() {
    let dir = tempfile::tempdir().unwrap();
    equivalent_queries_in(MemoryStorage::new()).await;
    equivalent_queries_in(SqliteStorage::open(dir.path().join("cache.db")).unwrap()).await;
    equivalent_queries_in(FileStorage::open(dir.path().join("files")).unwrap()).await;
}

#[tokio::test]
async fn an_exact_match_goes_first() {
    let origin = echo();
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get("http://example.com/a?x=1")).await;
    ask(&cache, request("GET", "http://example.com/a?utm=1&x=1", &[("cache-control", "no-cache")])).await;
    // The validation confirmed the equivalent response; nothing was stored under the second URI.
    assert_eq!(ask(&cache, get("http://example.com/a?utm=1&x=1")).await.text(), "http://example.com/a?x=1");
    assert_eq!(origin.last().headers["if-none-match"], "\"a\"");
}

#[tokio::test]
async fn a_stale_equivalent_is_validated_under_the_uri_that_was_asked_for() {
    let (origin, clock) = (echo(), clock());
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, get("http://example.com/a?x=1")).await;
    clock.advance(Duration::from_secs(61));
    let validated = ask(&cache, get("http://example.com/a?x=1&utm=1")).await;
    assert_eq!(validated.text(), "http://example.com/a?x=1");
    assert_eq!(origin.last().uri, "http://example.com/a?x=1&utm=1");
    assert!(ask(&cache, get("http://example.com/a?x=1")).await.is_hit());
}

#[tokio::test]
async fn an_unsafe_request_to_an_equivalent_uri_leaves_nothing_to_answer_it_with() {
    let origin = echo();
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get("http://example.com/a?x=1")).await;
    ask(&cache, request("POST", "http://example.com/a?utm=1&x=1", &[])).await;
    assert!(!ask(&cache, get("http://example.com/a?utm=1&x=1")).await.is_hit());
}

#[tokio::test]
async fn the_policy_can_disregard_it() {
    let policy = Policy::private().no_vary_search(false);
    let cache = CacheLayer::new(MemoryStorage::new()).policy(policy).layer(echo());
    ask(&cache, get("http://example.com/a?x=1")).await;
    assert!(!ask(&cache, get("http://example.com/a?x=1&utm=1")).await.is_hit());
}
