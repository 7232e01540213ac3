//! Refreshing a stale response while it is being served (RFC 5861 section 3).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;

use crate::body::{CacheBody, MOST_EMPTY};
use crate::config::Config;
use crate::key::CacheKey;
use crate::overrides::{CacheMode, CacheOverride};

/// The request that refreshes the answer to this one: it validates, and has none of the client's preconditions. If only a
/// part is stored, it requests only this part.
pub(super) fn request<B>(parts: Parts, body: B, mut overrides: CacheOverride, of_part: bool) -> Request<B> {
    let mut request = Request::from_parts(parts, body);
    overrides.mode = CacheMode::Revalidate;
    request.extensions_mut().insert(overrides);
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
        request.headers_mut().remove(name);
    }
    if !of_part {
        request.headers_mut().remove(RANGE);
    }
    request
}

/// Refreshes the response under `key` by an exchange in the background, unless another one does so already or the origin
/// failed a moment ago.
pub(super) fn refresh<F, R, E>(config: &Arc<Config>, key: &CacheKey, exchange: impl FnOnce() -> F)
where
    F: Future<Output = Result<Response<CacheBody<R>>, E>> + Send + 'static,
    R: Body + Send + 'static,
    E: Send,
{
    let Some(refreshing) = config.refreshes.begin(key, config.clock.now()) else { return };
    config.counters.count(|counters| &counters.refreshes);
    let (clock, exchange) = (Arc::clone(&config.clock), exchange());
    let running = config.store.begin_task();
    let refresh = async move {
        let _running = running;
        match exchange.await {
            Ok(response) if !response.status().is_server_error() => drain(response.into_body()).await,
            Ok(_) | Err(_) => false,
        }
    };
    refreshing.run(refresh, move || clock.now());
}

/// Reads a body to its end, so that all of it is stored. Returns whether it arrived whole.
async fn drain<R: Body>(body: CacheBody<R>) -> bool {
    let (mut body, mut empty) = (pin!(body), 0);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else { return false };
        // The body may consist of such frames from here on, without an end.
        empty = if frame.data_ref().is_some_and(Bytes::is_empty) { empty + 1 } else { 0 };
        if empty > MOST_EMPTY {
            return false;
        }
    }
    true
}
