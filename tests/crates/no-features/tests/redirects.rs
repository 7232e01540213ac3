//! Redirects are followed with no feature at all, and an answer from elsewhere is known for one.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use larder::key::{DefaultKey, RequestHead};
use larder::redirect::{AnsweredBy, RedirectHistory};
use larder::status::Outcome;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheStatus};
use tower::{Layer, Service, ServiceExt, service_fn};

const START: &str = "http://example.com/start";

#[derive(Clone)]
struct User(&'static str);

fn request(uri: &str, user: &'static str) -> Request<Full<Bytes>> {
    Request::get(uri).extension(User(user)).body(Full::default()).unwrap()
}

/// Status, text and whether it was a hit.
async fn ask<S, B>(service: &S, request: Request<Full<Bytes>>) -> (u16, Bytes, bool, Response<()>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body_util::BodyExt<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let hit = parts.extensions.get::<CacheStatus>().unwrap().outcome == Outcome::Hit;
    let text = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), text, hit, Response::from_parts(parts, ()))
}

fn fresh(status: u16, location: Option<&str>, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status).header("cache-control", "max-age=60");
    if let Some(location) = location {
        response = response.header("location", location);
    }
    response.body(Full::from(text)).unwrap()
}

#[tokio::test]
async fn a_stored_chain_is_followed_for_each_user() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = service_fn(move |request: Request<Full<Bytes>>| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let answer = match request.uri().path() {
            "/start" => fresh(301, Some("http://other.example/end"), String::new()),
            _ => fresh(200, None, format!("answer {number}")),
        };
        async { Ok::<_, Infallible>(answer) }
    });
    let of_user = |request: &RequestHead<'_>| Some(request.extensions.get::<User>()?.0.as_bytes().to_vec());
    let cache = CacheLayer::new(MemoryStorage::new())
        .make_key(DefaultKey::new().partition_by(of_user))
        .follow_redirects(10)
        .layer(origin);
    for (user, answer, hit) in
        [("ann", "answer 1", false), ("bob", "answer 3", false), ("ann", "answer 1", true)]
    {
        let (status, text, was_hit, response) = ask(&cache, request(START, user)).await;
        assert_eq!((status, &*text, was_hit), (200, answer.as_bytes(), hit), "{user}");
        assert_eq!(response.extensions().get::<RedirectHistory>().unwrap().hops().len(), 1);
    }
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn what_says_that_another_uri_answered_is_not_stored() {
    let origin = service_fn(|_: Request<Full<Bytes>>| async {
        let mut response = fresh(200, None, String::from("elsewhere"));
        response.extensions_mut().insert(AnsweredBy("http://example.com/end".parse().unwrap()));
        Ok::<_, Infallible>(response)
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin);
    for _ in 0..2 {
        assert!(!ask(&cache, request(START, "ann")).await.2);
    }
    assert_eq!(layer.storage().usage().await.unwrap().responses, 0);
    ask(&cache, request("http://example.com/end", "ann")).await;
    assert!(ask(&cache, request("http://example.com/end", "ann")).await.2);
}
