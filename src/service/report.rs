//! Reporting to the caller what happened (RFC 9211).

use std::sync::atomic::AtomicU64;

use http::{Response, StatusCode, header};

use crate::config::Config;
use crate::key::CacheKey;
use crate::overrides::CacheMode;
use crate::policy::{RequestInfo, Serve};
use crate::status::{CacheStatus, Fwd};
use crate::store::Counters;

/// Whether a response is being stored; if not, why.
pub(super) type Kept = Result<(), &'static str>;

/// Whether a request waited for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collapsed {
    /// The request did not wait.
    No,
    /// It waited, and reuses the response of the other one. Otherwise it would have been forwarded for this reason.
    Reuses(Fwd),
    /// It waited, and had to go to the origin itself.
    InVain,
}

impl Collapsed {
    /// The status of an answer from the store (RFC 9211 section 2.6).
    pub(super) fn answered(self, hit: CacheStatus) -> CacheStatus {
        match self {
            Self::Reuses(fwd) => {
                CacheStatus { ttl: hit.ttl, ..CacheStatus::forwarded(fwd) }.with_collapsed(true)
            }
            Self::No | Self::InVain => hit,
        }
    }

    pub(super) fn counter(self, counters: &Counters) -> &AtomicU64 {
        if matches!(self, Self::Reuses(_)) { &counters.collapsed } else { &counters.hits }
    }

    /// The status of a request that was forwarded.
    pub(super) fn forwarded(self, status: CacheStatus) -> CacheStatus {
        if self == Self::No { status } else { status.with_collapsed(false) }
    }
}

/// The status of a request that bypassed the cache, and why, unless the caller wanted that.
pub(super) fn bypassed(info: &RequestInfo<'_>, fwd_status: StatusCode) -> CacheStatus {
    let status = CacheStatus::forwarded(Fwd::Bypass).with_fwd_status(fwd_status);
    if info.overrides.mode == CacheMode::Bypass {
        status
    } else if info.uri.authority().is_none() && !info.headers.contains_key(header::HOST) {
        status.with_detail("relative URI without Host")
    } else {
        status.with_detail("no key")
    }
}

/// The status of a request that was sent to the origin and then answered from the store.
pub(super) fn from_store(forwarded: CacheStatus, serve: &Serve) -> CacheStatus {
    CacheStatus { ttl: Some(serve.ttl), ..forwarded }
}

/// As [`from_store`], with a response that is stale.
pub(super) fn stale(config: &Config, forwarded: CacheStatus, serve: &Serve) -> CacheStatus {
    config.counters.count(|counters| &counters.served_stale);
    from_store(forwarded, serve)
}

/// Adds whether the origin's response is being stored, or why not. Trouble with the storage comes first.
pub(super) fn kept(forwarded: CacheStatus, kept: Kept, trouble: Option<&'static str>) -> CacheStatus {
    match kept {
        Ok(()) => CacheStatus { stored: true, ..forwarded },
        Err(reason) => CacheStatus { detail: Some(trouble.unwrap_or(reason).into()), ..forwarded },
    }
}

/// Puts the status into the response's extensions and, if that is on, into its header.
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

/// Puts the status into the extensions only, for a response that the cache generated: it "SHOULD NOT append a
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
