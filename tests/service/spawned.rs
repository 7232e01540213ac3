//! Whoever asks in a task of its own needs a future that is `Send`, whatever the errors of the inner service and its
//! bodies are. That these compile is the test: a bound on `impl Body for CacheBody` would be one for every lifetime.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use larder::CacheLayer;
use larder::storage::MemoryStorage;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt};

type BoxError = Box<dyn Error + Send + Sync>;
type Boxed = UnsyncBoxBody<Bytes, BoxError>;

#[derive(Clone)]
struct Origin;

impl Service<Request<Empty<Bytes>>> for Origin {
    type Response = Response<Boxed>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        let body = Full::new(Bytes::from_static(b"hello")).map_err(|never: Infallible| match never {});
        ready(Ok(Response::new(body.boxed_unsync())))
    }
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://example.com/").body(Empty::new()).unwrap()
}

#[tokio::test]
async fn a_spawned_task_asks_once_and_reads_a_body_whose_error_is_boxed() {
    let cache = CacheLayer::new(MemoryStorage::new()).layer(Origin);
    let task = tokio::spawn(async move {
        let response = cache.oneshot(get()).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    });
    assert_eq!(task.await.unwrap(), "hello");
}

#[tokio::test]
async fn a_spawned_task_follows_redirects_with_bodies_whose_error_is_boxed() {
    let cache = CacheLayer::new(MemoryStorage::new()).follow_redirects(5).layer(Origin);
    let task = tokio::spawn(async move {
        let mut body = cache.oneshot(get()).await.unwrap().into_body();
        let frame = body.frame().await.unwrap().unwrap();
        frame.into_data().unwrap()
    });
    assert_eq!(task.await.unwrap(), "hello");
}

/// `oneshot` names the service's future, and with a service whose own type names the boxed error, rustc wants all
/// bounds of `impl Service` for every lifetime (rust-lang/rust#110338), in each of tower's own middlewares as well.
#[tokio::test]
async fn a_spawned_task_calls_a_boxed_service_that_is_ready() {
    let origin = BoxCloneService::new(Origin);
    let mut cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let task = tokio::spawn(async move {
        let response = cache.ready().await.unwrap().call(get()).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    });
    assert_eq!(task.await.unwrap(), "hello");
}
