//! A web service that calls another one through a cache shared by all its handlers.
//!
//! ```text
//! cargo run --example axum_outbound      # `-- 127.0.0.1:0` for another address
//! curl -i http://127.0.0.1:3000/        # twice: the second answer did not ask the other service
//! ```
//!
//! What the service learns for one user it tells to the others, so this is a shared cache: it keeps nothing that is
//! private to one of them.

#[path = "support/origin.rs"]
mod origin;

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use larder::storage::MemoryStorage;
use larder::{Cache, CacheLayer, Policy};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

#[derive(Clone)]
struct App {
    client: Cache<Client<HttpConnector, Body>>,
    other_service: SocketAddr,
}

async fn greeting(State(app): State<App>) -> Result<Response, StatusCode> {
    let request = Request::get(format!("http://{}/greeting", app.other_service))
        .body(Body::empty())
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let response = app.client.oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    // The body streams on: it is nowhere held in full.
    Ok(response.map(Body::new).into_response())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let cache = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared()).cache_status_header(true);
    let client = cache.layer(Client::builder(TokioExecutor::new()).build_http());
    let app = App { client, other_service: origin::start().await? };

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("try: curl -i http://{}/", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", get(greeting)).with_state(app)).await?;
    Ok(())
}
