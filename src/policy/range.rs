//! Byte ranges (RFC 9110 section 14).

use http::{HeaderMap, header};

use crate::entry::StoredHead;
use crate::policy::conditional;
use crate::policy::request::RequestInfo;
use crate::policy::seconds::number;

/// A single byte range as a request states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// `first-last` or `first-`.
    From(u64, Option<u64>),
    /// `-length`: the last bytes.
    Last(u64),
}

impl ByteRange {
    /// The request's range; `None` when it has none, several, or one in a unit or form that is not understood:
    /// "A server MAY ignore the Range header field".
    pub(crate) fn of_request(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::RANGE).iter();
        let line = lines.next()?.as_bytes();
        let (unit, spec) = line.split_at_checked(6)?;
        if lines.next().is_some() || !unit.eq_ignore_ascii_case(b"bytes=") {
            return None;
        }
        let spec = spec.trim_ascii();
        let dash = spec.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (spec.get(..dash)?, spec.get(dash + 1..)?);
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => number(last).map(Self::Last),
            (false, true) => number(first).map(|first| Self::From(first, None)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// The first and the last byte of a representation of this length; `None` when unsatisfiable.
    pub(crate) fn within(self, complete_len: u64) -> Option<(u64, u64)> {
        let end = complete_len.checked_sub(1)?;
        match self {
            Self::From(first, last) => (first <= end).then(|| (first, last.unwrap_or(end).min(end))),
            Self::Last(0) => None,
            Self::Last(length) => Some((complete_len.saturating_sub(length), end)),
        }
    }

    /// The same, where the length may be unknown: then only a range with both ends is certain.
    fn bounds(self, complete_len: Option<u64>) -> Option<(u64, u64)> {
        match (complete_len, self) {
            (Some(complete_len), _) => self.within(complete_len),
            (None, Self::From(first, Some(last))) => Some((first, last)),
            (None, _) => None,
        }
    }
}

/// Whether a stored partial response answers the request's range: the range lies wholly inside (3.3), and
/// the request's `If-Range` allows it.
pub(crate) fn lies_inside(request: &RequestInfo<'_>, head: &StoredHead) -> bool {
    of_part(request, head).is_some() && conditional::range_applies(request.headers, head)
}

/// The part of a stored partial response that is the request's range, where that lies wholly inside: its first byte and
/// its last, and the length of the whole.
pub(crate) fn of_part(request: &RequestInfo<'_>, head: &StoredHead) -> Option<(u64, u64, u64)> {
    let (stored, held) = (head.range?, head.body?.len);
    let range = ByteRange::of_request(request.headers)?;
    let (first, last) = range.bounds(stored.complete_len)?;
    let inside = first >= stored.first && last < stored.first.saturating_add(held);
    // Answers carry the length of the whole; where it is unknown the request goes to the origin.
    let complete_len = stored.complete_len?;
    inside.then_some((first, last, complete_len))
}

/// A valid `Content-Range` with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) complete_len: Option<u64>,
}

impl ContentRange {
    /// The `Content-Range` of a 206 with a single part. Its `Content-Length`, if any, must agree.
    pub(crate) fn of_single_part(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
        let range = Self::parse(lines.next()?.as_bytes())?;
        let mut stated = headers.get_all(header::CONTENT_LENGTH).iter();
        let agrees = stated.all(|stated| number(stated.as_bytes().trim_ascii()) == Some(range.len()));
        (lines.next().is_none() && agrees && !has_several_parts(headers)).then_some(range)
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (unit, rest) = value.trim_ascii().split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let mut parts = rest.trim_ascii().split(|byte| matches!(byte, b'-' | b'/'));
        let (first, last, complete) = (number(parts.next()?)?, number(parts.next()?)?, parts.next()?);
        let complete_len = if complete == b"*" { None } else { Some(number(complete)?) };
        let valid = parts.next().is_none() && first <= last && complete_len.is_none_or(|len| last < len);
        valid.then_some(Self { first, last, complete_len })
    }

    pub(crate) fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// RFC 9110 15.3.7.2: "a server MUST NOT generate a Content-Range header field in the HTTP header section of a
/// multiple part response". The body of one that does has more than the bytes of the representation.
fn has_several_parts(headers: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/byteranges";
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().trim_ascii_start();
        kind.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
    })
}
