#[path = "../../examples/tonic.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use example::{Text, channel, greet};
use larder::storage::key_value::{ByteStore, KeyValueStorage, Space};
use larder::storage::{StorageError, StorageErrorKind};
use tonic::Code;
use tonic::client::Grpc;
use tower::service_fn;

use crate::origin::Origin;

/// A store that only counts how often it was asked.
#[derive(Clone, Debug, Default)]
struct Untouched(Arc<AtomicUsize>);

impl Untouched {
    fn touch<T>(&self) -> Result<T, StorageError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(StorageError::new(StorageErrorKind::Unavailable, "untouched", "touch"))
    }

    fn trips(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ByteStore for Untouched {
    fn name(&self) -> &'static str {
        "untouched"
    }

    async fn get(&self, _: Space, _: &str) -> Result<Option<Bytes>, StorageError> {
        self.touch()
    }

    async fn put(&self, _: Space, _: &str, _: Bytes) -> Result<(), StorageError> {
        self.touch()
    }

    async fn remove(&self, _: Space, _: &str) -> Result<bool, StorageError> {
        self.touch()
    }

    async fn list(&self, _: Space, _: Option<&str>, _: usize) -> Result<Vec<String>, StorageError> {
        self.touch()
    }

    async fn len(&self, _: Space) -> Result<u64, StorageError> {
        self.touch()
    }

    async fn clear(&self, _: Space) -> Result<(), StorageError> {
        self.touch()
    }
}

async fn greeter() -> Origin {
    let greet = |request: Request| async move {
        assert_eq!(request.uri().path(), "/example.Greeter/Greet");
        let greet = service_fn(|name: tonic::Request<String>| async move {
            match name.into_inner() {
                name if name.is_empty() => Err(tonic::Status::invalid_argument("no name")),
                name => Ok(tonic::Response::new(format!("hello {name}"))),
            }
        });
        let response: Response<_> = tonic::server::Grpc::new(Text).unary(greet, request).await;
        response.map(Body::new)
    };
    Origin::http(Router::new().fallback(greet)).await
}

#[tokio::test]
async fn calls_pass_without_a_trip_to_the_store() {
    let (origin, store) = (greeter().await, Untouched::default());
    let channel = channel(origin.url.clone(), KeyValueStorage::new(store.clone())).unwrap();
    for name in ["alice", "bob", "alice"] {
        assert_eq!(greet(Grpc::new(channel.clone()), name).await.unwrap(), format!("hello {name}"));
    }
    // An error of gRPC is a trailer field, or a field of a response without a body.
    let error = greet(Grpc::new(channel.clone()), "").await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "no name"));
    channel.flush().await;
    assert_eq!(store.trips(), 0);
    assert_eq!(origin.asked().len(), 4);
}

#[tokio::test]
async fn with_an_origin_a_call_invalidates_as_any_post() {
    let (origin, store) = (greeter().await, Untouched::default());
    let channel = channel(origin.url.clone(), KeyValueStorage::new(store.clone())).unwrap();
    let grpc = Grpc::with_origin(channel, origin.url.parse().unwrap());
    assert_eq!(greet(grpc, "alice").await.unwrap(), "hello alice");
    assert!(store.trips() > 0);
}
