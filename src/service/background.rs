//! Refreshing a stale response while it is being served (RFC 5861 section 3).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http_body::Body;
use tower_service::Service;

use super::exchange::exchange;
use crate::body::{CacheBody, MOST_EMPTY};
use crate::config::Config;
use crate::error::BoxError;
use crate::key::{CacheKey, Principal};
use crate::overrides::{CacheMode, CacheOverride};

/// Asks the origin again with the request that was just answered from the store, unless somebody does so already
/// or the origin has just failed to answer. Where no more than a part is stored, no more is asked for.
pub(super) fn refresh<S, B, R>(
    config: &Arc<Config>,
    key: &CacheKey,
    principal: Principal,
    origin: S,
    mut request: Request<B>,
    mut overrides: CacheOverride,
    of_part: bool,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body + Default + Send + 'static,
    R: Body + Send + 'static,
    R::Error: Into<BoxError>,
{
    let Some(refreshing) = config.refreshes.begin(key, config.clock.now()) else { return };
    config.counters.count(|counters| &counters.refreshes);
    overrides.mode = CacheMode::Revalidate;
    request.extensions_mut().insert(overrides);
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
        request.headers_mut().remove(name);
    }
    if !of_part {
        request.headers_mut().remove(RANGE);
    }
    let (clock, config) = (Arc::clone(&config.clock), Arc::clone(config));
    let running = config.store.begin_task();
    let refresh = async move {
        let _running = running;
        match exchange(config, principal, origin, request).await {
            Ok(response) if !response.status().is_server_error() => drain(response.into_body()).await,
            Ok(_) | Err(_) => false,
        }
    };
    refreshing.run(refresh, move || clock.now());
}

/// Reads a body to its end, so that all of it is stored. Returns whether it arrived whole.
async fn drain<R>(body: CacheBody<R>) -> bool
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let (mut body, mut empty) = (pin!(body), 0);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else { return false };
        // From some frame on, there may be nothing else, and no end.
        empty = if frame.data_ref().is_some_and(Bytes::is_empty) { empty + 1 } else { 0 };
        if empty > MOST_EMPTY {
            return false;
        }
    }
    true
}
