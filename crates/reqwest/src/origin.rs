//! The client below the cache, as a Tower service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use http_body::Body as _;
use larder::KeyedBody;
use reqwest::{Body, Client};
use tower::Service;

/// reqwest's own settings of one request, its timeout among them. They cross to other origins; extensions do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestSettings(pub(crate) Extensions);

/// Sends what the cache cannot answer.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    client: Client,
}

impl Origin {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Service<Request<KeyedBody<Body>>> for Origin {
    type Response = Response<Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, reqwest::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, request: Request<KeyedBody<Body>>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        if let Some(RequestSettings(settings)) = parts.extensions.remove() {
            parts.extensions.extend(settings);
        }
        // Without content there is no body to announce.
        let body = if body.is_end_stream() { Body::default() } else { Body::wrap(body) };
        match reqwest::Request::try_from(Request::from_parts(parts, body)) {
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(request) => {
                let sending = self.client.call(request);
                Box::pin(async move { sending.await.map(Response::from) })
            }
        }
    }
}
