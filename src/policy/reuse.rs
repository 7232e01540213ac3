//! May a stored response answer (RFC 9111 sections 4, 4.2.4, 5.2.1)?

use crate::clock::Timestamp;
use crate::entry::StoredResponse;
use crate::policy::{Asked, Policy, Validation};
use crate::status::Fwd;

/// What to do with a request, given what is stored under its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Reuse {
    /// Answer with a stored response.
    Serve(Serve),
    /// Ask the origin whether one of the stored responses still holds.
    Validate(Validation),
    /// Nothing stored helps.
    Forward(Fwd),
    /// The client wants a stored response or none, and there is none: 504.
    GatewayTimeout,
}

/// Which stored response answers, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Serve {
    /// Index of the response among those that were looked up.
    pub index: usize,
    /// What the answer is made of.
    pub answer: Answer,
    /// Value of the `Age` field, in seconds.
    pub age: u32,
    /// Remaining lifetime in seconds; negative when stale.
    pub ttl: i64,
    /// Refresh it in the background (`stale-while-revalidate`).
    pub refresh: Option<Validation>,
}

/// What an answer from the cache is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Status, fields and body as stored.
    Full,
    /// As stored, without the body: the request was HEAD.
    Head,
    /// 304: the client's own precondition holds.
    NotModified,
    /// 206 with the bytes from `first` to `last`, both included.
    Range {
        /// Offset of the first byte, in the whole representation.
        first: u64,
        /// Offset of the last byte, in the whole representation.
        last: u64,
        /// Length of the whole representation.
        complete_len: u64,
    },
    /// 416: the range lies outside of the representation.
    Unsatisfiable {
        /// Length of the whole representation.
        complete_len: u64,
    },
}

/// Decides.
#[must_use]
pub fn reuse(policy: &Policy, asked: &Asked<'_>, stored: &[StoredResponse], now: Timestamp) -> Reuse {
    let _ = (policy, asked, stored, now);
    todo!()
}

/// How `stored[index]` answers this request now that it may: as a whole, as a 304, as a range.
#[must_use]
pub fn serve(asked: &Asked<'_>, stored: &[StoredResponse], index: usize, now: Timestamp) -> Serve {
    let _ = (asked, stored, index, now);
    todo!()
}
