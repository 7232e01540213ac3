//! How a stored response answers: as a whole, as a 304, as a range (RFC 9110 section 13.2.2).

use http::{Method, StatusCode};

use crate::clock::Timestamp;
use crate::entry::{StoredHead, StoredResponse};
use crate::policy::age::current_age;
use crate::policy::conditional::{self, Evaluated};
use crate::policy::freshness::lifetime_millis;
use crate::policy::range::{self, ByteRange};
use crate::policy::request::RequestInfo;
use crate::policy::seconds::MAX_SECONDS;
use crate::policy::select::Chosen;

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
    /// Whether to refresh it in the background (`stale-while-revalidate`).
    pub refresh: bool,
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
    /// 206 with the bytes from `first` to `last`, both included. Where the stored response is itself partial, its
    /// body begins at [`StoredRange::first`](crate::entry::StoredRange::first).
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

/// How `stored[index]` answers this request: as a whole, as a 304, or as a range.
///
/// The caller has decided that it may answer. If `index` is out of bounds, the result is [`Answer::Full`] with age 0.
#[must_use]
pub fn serve(request: &RequestInfo<'_>, stored: &[StoredResponse], index: usize, now: Timestamp) -> Serve {
    match stored.get(index) {
        Some(response) => {
            let chosen = Chosen::new(index, response, response.head.freshness);
            served(request, &chosen, now)
        }
        None => Serve { index, answer: Answer::Full, age: 0, ttl: 0, refresh: false },
    }
}

/// The answer made of a response that may answer.
pub(crate) fn served(request: &RequestInfo<'_>, chosen: &Chosen<'_>, now: Timestamp) -> Serve {
    let age = current_age(&chosen.freshness, chosen.head.response_time, now);
    let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    let left = signed(lifetime_millis(&chosen.freshness)).saturating_sub(signed(age));
    Serve {
        index: chosen.index,
        answer: answer(request, chosen.head),
        age: u32::try_from(age / 1000).unwrap_or(MAX_SECONDS),
        ttl: left.div_euclid(1000),
        refresh: false,
    }
}

/// RFC 9110 13.2.2: preconditions first, then If-Range and Range.
fn answer(request: &RequestInfo<'_>, head: &StoredHead) -> Answer {
    if request.conditions.not_modified && conditional::evaluate(request, head) == Evaluated::NotModified {
        return Answer::NotModified;
    }
    if *request.method == Method::HEAD {
        return Answer::Head;
    }
    if head.range.is_none() && (*request.method != Method::GET || !request.conditions.range) {
        return Answer::Full;
    }
    if head.range.is_none() {
        return of_complete(request, head).unwrap_or(Answer::Full);
    }
    // If-Range was compared when the part was chosen, and a 304 may have brought another Last-Modified since. The part
    // holds the whole range, or it would not have been chosen. A part is never served as the whole.
    let complete_len = head.range.and_then(|range| range.complete_len).unwrap_or(0);
    match range::of_part(request, head) {
        Some((first, last, complete_len)) => Answer::Range { first, last, complete_len },
        None => Answer::Unsatisfiable { complete_len },
    }
}

/// What a complete stored response to GET answers to the request's range, if it answers with a part at all.
fn of_complete(request: &RequestInfo<'_>, head: &StoredHead) -> Option<Answer> {
    // A range is only defined for a representation that a plain GET would have answered with 200.
    if head.status != StatusCode::OK || !request.conditions.range {
        return None;
    }
    let range = ByteRange::of_request(request.headers)?;
    let complete_len = head.body?.len;
    if !conditional::range_applies(request.headers, head) {
        return None;
    }
    Some(match range.within(complete_len) {
        Some((first, last)) => Answer::Range { first, last, complete_len },
        None => Answer::Unsatisfiable { complete_len },
    })
}
