//! The right order of layers, and what the wrong one costs without the feature that sees it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use larder::redirect::AnsweredBy;
use larder::status::Outcome;
use larder::storage::{MemoryStorage, SqliteStorage};
use larder::{CacheLayer, CacheStatus};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::{FollowRedirectLayer, RequestUri};

const START: &str = "http://example.com/start";

/// `/start` redirects, not to be stored.
async fn origin(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder();
    Ok(match request.uri().path() {
        "/start" => response
            .status(302)
            .header("location", "/end")
            .header("cache-control", "no-store")
            .body(Full::default()),
        _ => response.header("cache-control", "max-age=60").body(Full::from("the end")),
    }
    .unwrap())
}

/// Whether it was a hit; what is asked for always is the same.
async fn is_hit<S, B>(service: &S, uri: &str) -> bool
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body_util::BodyExt<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let request = Request::get(uri).body(Full::default()).unwrap();
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "the end");
    parts.extensions.get::<CacheStatus>().unwrap().outcome == Outcome::Hit
}

#[tokio::test]
async fn followed_inside_and_above_every_hop_is_judged_by_itself() {
    let inside = ServiceBuilder::new()
        .layer(CacheLayer::new(MemoryStorage::new()).follow_redirects(10))
        .service_fn(origin);
    assert!(!is_hit(&inside, START).await);
    assert!(is_hit(&inside, START).await, "the end is stored");
    assert!(is_hit(&inside, "http://example.com/end").await);

    let above = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(CacheLayer::new(MemoryStorage::new()))
        .service_fn(origin);
    assert!(!is_hit(&above, START).await);
    assert!(is_hit(&above, START).await);
}

/// What the docs of `larder::redirect` say must not be done. Should this fail, they say too much.
#[tokio::test]
async fn followed_below_without_a_word_the_end_is_taken_for_the_answer_of_the_start() {
    let layer = CacheLayer::new(MemoryStorage::new());
    let below = ServiceBuilder::new().layer(layer).layer(FollowRedirectLayer::new()).service_fn(origin);
    assert!(!is_hit(&below, START).await);
    assert!(is_hit(&below, START).await, "with the feature `tower-http` it is not");
}

/// How to have it right without the feature: an adapter that passes on what the client says.
#[tokio::test]
async fn followed_below_with_an_adapter_that_says_so_nothing_is_stored() {
    let layer = CacheLayer::new(MemoryStorage::new());
    let following = ServiceBuilder::new().layer(FollowRedirectLayer::new()).service_fn(origin);
    let adapter = service_fn(move |request: Request<Full<Bytes>>| {
        let answered = following.clone().oneshot(request);
        async {
            let mut response = answered.await?;
            if let Some(RequestUri(uri)) = response.extensions().get().cloned() {
                response.extensions_mut().insert(AnsweredBy(uri));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let cache = ServiceBuilder::new().layer(layer.clone()).service(adapter);
    for _ in 0..2 {
        assert!(!is_hit(&cache, START).await);
    }
    assert_eq!(layer.storage().usage().await.unwrap().responses, 0);
    assert!(!is_hit(&cache, "http://example.com/end").await);
    assert!(is_hit(&cache, "http://example.com/end").await, "nothing was followed for this one");
}

#[tokio::test]
async fn the_default_storage_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(directory.path().join("cache.db")).unwrap();
    let cache = ServiceBuilder::new().layer(CacheLayer::new(storage).follow_redirects(10)).service_fn(origin);
    assert!(!is_hit(&cache, START).await);
    assert!(is_hit(&cache, START).await);
}
