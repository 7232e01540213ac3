//! What the policy computes once, when it stores a response. So a hit only compares integers.

use crate::clock::Timestamp;

/// The integers and flags a reuse decision needs. Computed by the policy (RFC 9111 section 4.2) when a
/// response is stored or freshened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// Fingerprint of the settings that computed this; under other settings it is computed anew from the fields.
    pub settings: u64,
    /// Freshness lifetime in seconds, at most 2^31.
    pub lifetime: u32,
    /// `corrected_initial_age` (section 4.2.3) in milliseconds, never negative.
    pub initial_age: u64,
    /// `no-cache` without field names: validate before every use.
    pub no_cache: bool,
    /// must-revalidate, or what implies it for a shared cache: never serve stale.
    pub must_revalidate: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `stale-while-revalidate` (RFC 5861) in seconds.
    pub stale_while_revalidate: u32,
    /// `stale-if-error` (RFC 5861) in seconds.
    pub stale_if_error: u32,
    /// The lifetime came from the response itself, not from a heuristic or a setting.
    pub explicit: bool,
    /// The user set the lifetime for the exchange that stored the response. It outlives a change of settings.
    pub overridden: bool,
    /// A later response to HEAD showed that the origin now has another representation (section 4.3.5). The response is
    /// stale, even within its lifetime.
    pub outdated: bool,
    /// The response's `Date`, or when it arrived if it had none: of several variants that match, the latest answers.
    pub date: Timestamp,
}
