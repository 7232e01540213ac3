//! Validation: what is asked of the origin, and what its answer means (RFC 9111 section 4.3).

use http::{HeaderMap, response};

use crate::clock::Timestamp;
use crate::entry::{StoredHead, StoredResponse};
use crate::policy::{Asked, Policy, Serve, Times};
use crate::status::Fwd;

/// A validation to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Why the request goes forward.
    pub fwd: Fwd,
    /// The response that answers if the origin confirms it; `None` after a vary-miss.
    pub selected: Option<usize>,
    /// All stored responses whose validators are sent.
    pub candidates: Vec<usize>,
}

impl Validation {
    /// Whether the origin's answer has to be judged against a stored response.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.selected.is_some() || !self.candidates.is_empty()
    }
}

/// What the origin's answer to a validation request means.
#[derive(Clone, Debug, PartialEq)]
pub enum Validated {
    /// 304: these stored responses have new heads (same ids); the client is answered from `serve`,
    /// whose head is the new one.
    Freshened {
        /// Index and new head of each response to freshen.
        updates: Vec<(usize, StoredHead)>,
        /// Which one answers.
        serve: usize,
        /// The answering response may be used this once, but must then be removed (the 304 said `no-store`, ...).
        discard: bool,
    },
    /// The 304 answers the client's own precondition and nothing stored: pass it on.
    PassOn,
    /// A full response: it replaces what was stored.
    Replaced,
    /// The origin failed, and a stale response may be used in its place.
    Stale(Serve),
}

/// Replaces the request's preconditions by those of the validation (section 4.3.1).
pub fn preconditions(headers: &mut HeaderMap, validation: &Validation, stored: &[StoredResponse]) {
    let _ = (headers, validation, stored);
    todo!()
}

/// Judges the origin's answer (sections 4.3.3 and 4.3.4).
#[must_use]
pub fn validated(
    policy: &Policy,
    asked: &Asked<'_>,
    stored: &[StoredResponse],
    validation: &Validation,
    response: &response::Parts,
    times: Times,
) -> Validated {
    let _ = (policy, asked, stored, validation, response, times);
    todo!()
}

/// The origin cannot be reached: the stored response that may be used stale in its place (section 4.2.4).
#[must_use]
pub fn without_origin(
    policy: &Policy,
    asked: &Asked<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Option<Serve> {
    let _ = (policy, asked, stored, now);
    todo!()
}
