//! A web service that calls an API with the token of whoever asks it. No user gets another one's response.
//!
//! ```text
//! cargo run -p larder-clients --example axum_users -- http://127.0.0.1:8080
//! curl -i -H 'session: a' http://127.0.0.1:3000/me       # asks http://127.0.0.1:8080/me as alice
//! ```
//!
//! `axum_outbound`, an example of larder itself, is the other case: what is learned for one user is told to all.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, HeaderMap};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use larder::key::{CacheKey, Credentials, DefaultKey, MakeKey, RequestHead};
use larder::storage::{IntoStorage, MemoryStorage};
use larder::{Cache, CacheLayer, Policy};
use tower::{Layer, ServiceExt};

/// A user as the service knows him after login.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    /// His token for the API. It changes every hour; the user stays the same.
    pub(crate) token: String,
}

pub(crate) type Sessions = Arc<RwLock<HashMap<String, User>>>;

/// Who asks, for the cache: an extension of the request, which nobody sends.
#[derive(Clone)]
struct UserId(String);

/// Keys of requests that say which user asks. One that does not has no key and passes the cache by, so that a
/// forgotten extension costs a request, and not a secret.
struct PerUser(DefaultKey);

impl MakeKey for PerUser {
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey> {
        request.extensions.get::<UserId>()?;
        self.0.make_key(request)
    }

    fn partition(&self, request: &RequestHead<'_>) -> Option<Vec<u8>> {
        request.extensions.get::<UserId>().map(|user| user.0.clone().into_bytes())
    }

    /// A user's next token finds what was stored with his last one. Without partitions this would be a leak.
    fn credentials(&self) -> Credentials {
        Credentials::Shared
    }
}

#[derive(Clone)]
struct App {
    api: String,
    client: Cache<Client<HttpConnector, Empty<Bytes>>>,
    sessions: Sessions,
}

pub(crate) fn app(api: String, sessions: Sessions, storage: impl IntoStorage) -> Router {
    // Private, although it serves many: within a partition there is one user. A shared cache would store next to
    // nothing here, since responses to requests with Authorization are not for sharing (RFC 9111 section 3.5).
    let cache = CacheLayer::new(storage)
        .policy(Policy::private())
        .make_key(PerUser(DefaultKey::new()))
        .cache_status_header(true);
    let client = cache.layer(Client::builder(TokioExecutor::new()).build_http());
    Router::new().route("/me", get(me)).with_state(App { api, client, sessions })
}

async fn me(State(app): State<App>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let user = app.user(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    app.ask(user, "/me").await.map_err(|_| StatusCode::BAD_GATEWAY)
}

impl App {
    fn user(&self, headers: &HeaderMap) -> Option<User> {
        let session = headers.get("session")?.to_str().ok()?;
        self.sessions.read().ok()?.get(session).cloned()
    }

    /// The only way to the API. Token and user are set above the cache, in one place, and belong together.
    async fn ask(&self, user: User, path: &str) -> Result<Response, Box<dyn Error + Send + Sync>> {
        let request = Request::get(format!("{}{path}", self.api))
            .header(AUTHORIZATION, format!("Bearer {}", user.token))
            .extension(UserId(user.id))
            .body(Empty::new())?;
        Ok(self.client.clone().oneshot(request).await?.map(Body::new))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let api = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8080".into());
    let users = ["alice", "bob"].map(|id| User { id: id.into(), token: format!("token-of-{id}") });
    let sessions = ["a".to_owned(), "b".to_owned()].into_iter().zip(users).collect();
    let app = app(api, Arc::new(RwLock::new(sessions)), MemoryStorage::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
