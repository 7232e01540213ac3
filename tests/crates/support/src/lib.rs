//! What the tests of the layer share: an origin that does as it is told, and short ways to ask it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    missing_debug_implementations,
    reason = "for tests"
)]

pub mod layered;
pub mod traced;
pub mod wire;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use larder::clock::{ManualClock, Timestamp};
use larder::status::CacheStatus;
use tower::{Service, ServiceExt};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type OriginBody = UnsyncBoxBody<Bytes, BoxError>;

type Handler = dyn Fn(&http::request::Parts, usize) -> Result<Response<OriginBody>, BoxError> + Send + Sync;

/// An origin in this process. Clones share the record of what was asked.
#[derive(Clone)]
pub struct Origin {
    handler: Arc<Handler>,
    asked: Arc<Mutex<Vec<http::request::Parts>>>,
}

impl Origin {
    /// Answers with what `handler` makes of the request and of the number of requests before it.
    pub fn new<F>(handler: F) -> Self
    where
        F: Fn(&http::request::Parts, usize) -> Result<Response<OriginBody>, BoxError> + Send + Sync + 'static,
    {
        Self { handler: Arc::new(handler), asked: Arc::default() }
    }

    /// Answers every request alike.
    pub fn always(fields: &'static [(&'static str, &'static str)], body: &'static str) -> Self {
        Self::new(move |_, _| Ok(response(200, fields, body)))
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The head of the last request.
    pub fn last(&self) -> http::request::Parts {
        self.asked.lock().unwrap().last().expect("a request").clone()
    }
}

impl Service<Request<Full<Bytes>>> for Origin {
    type Response = Response<OriginBody>;
    type Error = BoxError;
    type Future = Ready<Result<Response<OriginBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let number = self.count();
        let response = (self.handler)(&parts, number);
        self.asked.lock().unwrap().push(parts);
        ready(response)
    }
}

/// A response with a whole body.
pub fn response(status: u16, fields: &[(&str, &str)], body: &'static str) -> Response<OriginBody> {
    let full = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never: Infallible| match never {});
    with_body(status, fields, full.boxed_unsync())
}

/// A response with a body of any kind.
pub fn with_body(status: u16, fields: &[(&str, &str)], body: OriginBody) -> Response<OriginBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// A body that gives one frame after the other and knows its length only if it is told.
pub struct Frames {
    pub frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
}

impl Frames {
    pub fn of(pieces: &[&'static str]) -> Self {
        Self {
            frames: pieces
                .iter()
                .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
                .collect(),
        }
    }

    pub fn then_error(mut self) -> Self {
        self.frames.push_back(Err("connection reset".into()));
        self
    }

    pub fn then_trailers(mut self, name: &'static str, value: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert(name, value.parse().unwrap());
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }

    pub fn boxed(self) -> OriginBody {
        self.boxed_unsync()
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A GET without fields.
pub fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// A request with fields.
pub fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// What a caller sees of one exchange.
#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub extensions: http::Extensions,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Seen {
    pub fn cache(&self) -> &CacheStatus {
        self.extensions.get().expect("every response says what the cache did")
    }

    pub fn is_hit(&self) -> bool {
        self.cache().outcome == larder::status::Outcome::Hit
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request and reads the whole response.
pub async fn ask<S, R>(service: &S, request: Request<Full<Bytes>>) -> Seen
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let response = service.clone().oneshot(request).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body");
    let trailers = body.trailers().cloned();
    Seen {
        status: parts.status,
        headers: parts.headers,
        extensions: parts.extensions,
        body: body.to_bytes(),
        trailers,
    }
}

/// A clock that stands at some day in 2026.
pub fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_secs(1_790_000_000))
}

/// That clock's time as a `Date` field, moved by so many seconds.
pub fn date(clock: &ManualClock, offset: i64) -> String {
    use larder::clock::Clock;
    let seconds = u64::try_from(clock.now().as_secs() + offset).unwrap();
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}
