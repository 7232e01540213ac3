//! What the cache needs of the service below it.

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::error::BoxError;

/// A service that the cache can clone and call again. The public `impl`s repeat these bounds.
pub(super) trait Origin<B, R>:
    Service<Request<B>, Response = Response<R>, Future: Send, Error: Send> + Clone + Send + 'static
{
}

impl<S, B, R> Origin<B, R> for S where
    S: Service<Request<B>, Response = Response<R>, Future: Send, Error: Send> + Clone + Send + 'static
{
}

/// A response body that can be stored while it passes.
pub(super) trait Content: Body<Error: Into<BoxError>> + Send + 'static {}

impl<R> Content for R where R: Body<Error: Into<BoxError>> + Send + 'static {}

/// The service that was polled ready. Its clone stays in its place for the next request.
pub(super) fn take_ready<S: Clone>(service: &mut S) -> S {
    let next = service.clone();
    std::mem::replace(service, next)
}
