//! Telling the caller what happened (RFC 9211).

use http::Response;

use super::collapse::Collapsed;
use super::keep::Kept;
use super::lookup::Found;
use crate::config::Config;
use crate::key::CacheKey;
use crate::policy::Serve;
use crate::status::{CacheStatus, Fwd};

/// Answered from the store without asking.
pub(super) fn hit(serve: &Serve, collapsed: Collapsed) -> CacheStatus {
    collapsed.answered(CacheStatus::hit(serve.ttl))
}

/// Sent on to the origin.
pub(super) fn forwarded(fwd: Fwd) -> CacheStatus {
    CacheStatus::forwarded(fwd)
}

/// Sent on to the origin, and then answered from the store all the same.
pub(super) fn from_store(forwarded: CacheStatus, serve: &Serve) -> CacheStatus {
    CacheStatus { ttl: Some(serve.ttl), ..forwarded }
}

/// As [`from_store`], with a response that is stale.
pub(super) fn stale(config: &Config, forwarded: CacheStatus, serve: &Serve) -> CacheStatus {
    config.counters.count(|counters| &counters.served_stale);
    from_store(forwarded, serve)
}

/// Whether the origin's response is being stored, or why not.
pub(super) fn kept(forwarded: CacheStatus, kept: Kept, found: &Found) -> CacheStatus {
    match kept {
        Ok(()) => CacheStatus { stored: true, ..forwarded },
        Err(reason) => CacheStatus { detail: Some(found.trouble.unwrap_or(reason).into()), ..forwarded },
    }
}

/// Puts the status into the response's extensions and, where asked for, into its header.
pub(super) fn attach<R>(
    config: &Config,
    key: Option<&CacheKey>,
    response: &mut Response<R>,
    mut status: CacheStatus,
) {
    if config.status_header {
        named(config, key, &mut status);
        status.append_to(response.headers_mut());
    }
    attach_unseen(config, key, response, status);
}

/// Puts the status into the extensions only, for a response that the cache made up: it "SHOULD NOT append a
/// Cache-Status member to responses that it generates" (section 2).
pub(super) fn attach_unseen<R>(
    config: &Config,
    key: Option<&CacheKey>,
    response: &mut Response<R>,
    mut status: CacheStatus,
) {
    named(config, key, &mut status);
    response.extensions_mut().insert(status);
}

fn named(config: &Config, key: Option<&CacheKey>, status: &mut CacheStatus) {
    if config.status_key && status.key.is_none() {
        status.key = key.map(CacheKey::hex_digest);
    }
}
