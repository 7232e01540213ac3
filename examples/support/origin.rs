//! A small origin server on loopback with one path for each thing worth seeing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, ETAG, HeaderMap, IF_NONE_MATCH, LOCATION, VARY,
};
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

/// As far away as an origin usually is.
const DISTANCE: Duration = Duration::from_millis(50);

/// Starts it on a free port and returns its address. It ends with the program.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/fresh", get(fresh))
        .route("/validate", get(validate))
        .route("/moved", get(moved))
        .route("/greeting", get(greeting))
        .route("/secret", get(secret))
        .layer(from_fn(far_away));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

async fn far_away(request: extract::Request, next: Next) -> Response {
    tokio::time::sleep(DISTANCE).await;
    next.run(request).await
}

/// May be reused for an hour.
async fn fresh() -> impl IntoResponse {
    ([(CACHE_CONTROL, "max-age=3600")], "Reused for an hour without asking again.\n".repeat(40))
}

/// May be stored, but must be validated each time.
async fn validate(headers: HeaderMap) -> Response {
    let fields = [(CACHE_CONTROL, "no-cache"), (ETAG, "\"v1\"")];
    if headers.get(IF_NONE_MATCH).is_some_and(|tag| tag == "\"v1\"") {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, "Sent once, confirmed with 304 ever after.\n".repeat(100)).into_response()
}

/// A permanent redirect.
async fn moved() -> impl IntoResponse {
    (StatusCode::MOVED_PERMANENTLY, [(CACHE_CONTROL, "max-age=3600"), (LOCATION, "/fresh")])
}

/// Two languages under one URL.
async fn greeting<B>(request: Request<B>) -> impl IntoResponse {
    let german = request.headers().get(ACCEPT_LANGUAGE).is_some_and(|wanted| wanted == "de");
    let (language, text) = if german { ("de", "Guten Tag\n") } else { ("en", "Good day\n") };
    ([(CACHE_CONTROL, "max-age=3600"), (VARY, "Accept-Language"), (CONTENT_LANGUAGE, language)], text)
}

/// Never stored.
async fn secret() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "For your eyes only, each time anew.\n")
}
