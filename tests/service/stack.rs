//! The layer among other layers, over real connections, and inside a server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use larder::CacheLayer;
use larder::storage::MemoryStorage;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{BoxError, Origin, ask, get};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// A server on loopback, HTTP/1.1 or h2 by what the client speaks. Counts its requests.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&counted);
            let service = hyper::service::service_fn(move |_: Request<Incoming>| {
                count.fetch_add(1, Ordering::SeqCst);
                async {
                    let body = Full::new(Bytes::from(vec![b'x'; 100_000]));
                    let response = Response::builder().header("cache-control", "max-age=60").body(body);
                    Ok::<_, Infallible>(response.unwrap())
                }
            });
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_hyper_client_over_http_1_and_over_http_2() {
    for http2 in [false, true] {
        let (address, count) = server().await;
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        let cache = CacheLayer::new(MemoryStorage::new()).layer(client);
        let uri = format!("http://{address}/");
        assert_eq!(ask(&cache, get(&uri)).await.body.len(), 100_000);
        let hit = ask(&cache, get(&uri)).await;
        assert!(hit.is_hit());
        assert_eq!((hit.body.len(), count.load(Ordering::SeqCst)), (100_000, 1));
    }
}

#[tokio::test]
async fn a_concurrency_limit_of_one_below_neither_deadlocks_nor_is_called_unready() {
    let origin = Origin::always(FRESH, "hello");
    let stack = ServiceBuilder::new()
        .layer(CacheLayer::new(MemoryStorage::new()))
        .concurrency_limit(1)
        .service(origin.clone());
    let asking = (0..20).map(|number| {
        let stack = stack.clone();
        async move { ask(&stack, get(&format!("http://example.com/{}", number % 4))).await }
    });
    for seen in futures_util::future::join_all(asking).await {
        assert_eq!(seen.text(), "hello");
    }
    for number in 0..4 {
        assert!(ask(&stack, get(&format!("http://example.com/{number}"))).await.is_hit());
    }
}

#[tokio::test]
async fn a_timeout_above_and_a_buffer_below() {
    let origin = Origin::always(FRESH, "hello");
    let stack = ServiceBuilder::new()
        .timeout(Duration::from_secs(5))
        .layer(CacheLayer::new(MemoryStorage::new()))
        .buffer(4)
        .service(origin.clone());
    for _ in 0..3 {
        assert_eq!(ask(&stack, get("http://example.com/")).await.text(), "hello");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn the_inner_services_own_error_comes_through() {
    #[derive(Debug, PartialEq)]
    struct Mine;
    let failing =
        tower::service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Full<Bytes>>, _>(Mine) });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(failing);
    let error: Mine = cache.oneshot(get("http://example.com/")).await.unwrap_err();
    assert_eq!(error, Mine);
}

/// A service that must be polled ready before each call.
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
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Full<Bytes>>, BoxError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        self.ready = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let mut cache = CacheLayer::new(MemoryStorage::new()).layer(Strict::default());
    for method in ["GET", "POST", "OPTIONS", "GET"] {
        let request = crate::support::request(method, "http://example.com/", &[]);
        // `Strict` panics where it is not ready.
        let response = cache.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn an_axum_handler_calls_out_through_the_cache() {
    use axum::extract::State;
    let (address, count) = server().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<axum::body::Body>();
    let outbound = CacheLayer::new(MemoryStorage::new()).layer(client);
    let app = axum::Router::new()
        .route(
            "/",
            axum::routing::get(move |State(outbound): State<larder::Cache<_>>| async move {
                let uri = format!("http://{address}/");
                let request = Request::get(uri).body(axum::body::Body::empty()).unwrap();
                let response: Response<larder::CacheBody<Incoming>> =
                    outbound.oneshot(request).await.unwrap();
                response.map(axum::body::Body::new)
            }),
        )
        .with_state(outbound);
    for _ in 0..2 {
        let response =
            app.clone().oneshot(Request::get("/").body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 100_000);
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
