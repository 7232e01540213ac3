//! Combining parts of one representation (RFC 9111 section 3.4, RFC 9110 section 15.3.7.3).

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, response};

use crate::entry::{BodySummary, EntryId, StoredHead, StoredRange, StoredResponse};
use crate::policy::conditional::{etag, same_representation, strong_validator, weakly_equal};
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::{Facts, assess, under, usable_until};
use crate::policy::spans::{Run, Slice, Span, Spans, complete_len_of, tile};
use crate::policy::storable::dropped;
use crate::policy::update::{UpdateAction, freshened};
use crate::policy::{Policy, RequestInfo, Times, fields};

/// So many parts of one variant stand side by side; beyond, the least recently received go.
const MOST_PARTS: usize = 8;
/// The bytes that stored parts of one representation lack, and where the others are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Offset of the first missing byte in the whole representation.
    pub first: u64,
    /// Offset of the last one; `None` where all that follows is missing.
    pub last: Option<u64>,
    /// The stored bytes that go before.
    pub before: Vec<Slice>,
    /// The stored bytes that go after.
    pub after: Vec<Slice>,
    /// Length of the whole representation, where it is known.
    pub complete_len: Option<u64>,
}

/// What a part that has just been stored means for what is stored beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Combination {
    /// The parts that become one.
    pub union: Option<Union>,
    /// Stored responses that are of no use any more.
    pub superfluous: Vec<usize>,
}

/// Parts that touch or overlap, as one stored response.
#[derive(Clone, Debug, PartialEq)]
pub struct Union {
    /// Its head, with a new id. The whole representation is a complete 200.
    pub head: StoredHead,
    /// Its body, in order. Where parts overlap, the newest counts.
    pub slices: Vec<Slice>,
    /// The parts that it takes the place of.
    pub replaces: Vec<usize>,
}

/// What to make of the part with the id `newest`, given everything stored under its key.
#[must_use]
pub fn combine(policy: &Policy, stored: &[StoredResponse], newest: EntryId) -> Combination {
    let newest = stored.iter().position(|one| one.head.id == newest);
    let Some((at, new)) = newest.and_then(|at| Some((at, stored.get(at)?))) else {
        return Combination::default();
    };
    let Some(span) = Span::of(at, &new.head).filter(|_| !new.invalidated) else {
        return Combination::default();
    };
    let mut superfluous = Vec::new();
    let mut spans = Spans { known: vec![span], complete_len: complete_len_of(&new.head) };
    for (index, head) in beside(stored, &new.head) {
        if was_changed(head, &new.head) {
            superfluous.push(index);
        } else if are_same(head, &new.head) && under(policy, head).is_some() {
            if holds_all(head, span, spans.complete_len) {
                superfluous.push(at);
                return Combination { union: None, superfluous };
            }
            spans.add(index, head);
        }
    }
    let union = spans.run_around(span).and_then(|run| united(policy, stored, span, &run, spans.complete_len));
    match &union {
        Some(union) if union.head.range == new.head.range && union.slices.len() == 1 => {
            // All the others lie inside of the new one: nothing is to be written.
            superfluous.extend(union.replaces.iter().filter(|index| **index != at));
            superfluous.extend(beyond_limit(stored, at, &superfluous, None));
            Combination { union: None, superfluous }
        }
        _ => {
            superfluous.extend(beyond_limit(stored, at, &superfluous, union.as_ref()));
            Combination { union, superfluous }
        }
    }
}

/// The stored response that holds the part which just arrived already, with its head updated from the part's: under
/// the same strong validator the bytes are the same, and there is nothing to store.
#[must_use]
pub fn held_already(
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    part: &StoredHead,
    response: &response::Parts,
    times: Times,
) -> Option<(usize, StoredHead)> {
    let span = Span::of(usize::MAX, part)?;
    let complete_len = complete_len_of(part);
    let (index, head) = beside(stored, part).find(|(index, head)| {
        let inside = || {
            let held = Span::of(*index, head);
            held.is_some_and(|held| held.first <= span.first && span.end <= held.end)
                && complete_len_of(head).is_some_and(|len| complete_len.is_none_or(|other| len == other))
        };
        are_same(head, part) && (holds_all(head, span, complete_len) || inside())
    })?;
    let (head, action) = freshened(policy, request, head, response, times);
    (action == UpdateAction::Write).then_some((index, head))
}

/// Beyond how many bytes it is worth keeping a response that breaks off (section 3.3), if at all: it answers GET
/// with a representation, or with a part of one, of known length; a strong validator lets it be completed; and no
/// longer part of the same stands in its place.
#[must_use]
pub fn resumable(head: &StoredHead, stored: &[StoredResponse]) -> Option<u64> {
    let content = head.range.is_some() || head.status == StatusCode::OK;
    if head.method != http::Method::GET || !content || strong_validator(head).is_none() {
        return None;
    }
    let first = head.range.map_or(0, |range| range.first);
    let held = beside(stored, head)
        .filter(|(_, old)| old.range.is_some_and(|range| range.first == first) && are_same(old, head))
        .map(|(_, old)| old.body_len());
    Some(held.max().unwrap_or(0))
}

/// What the parts lack of the representation that the part `like` is of; `None` when that is more than one slice,
/// or when no strong validator lets them be combined.
pub(crate) fn missing<'a>(
    like: &StoredHead,
    parts: impl Iterator<Item = (usize, &'a StoredHead)>,
) -> Option<Missing> {
    strong_validator(like)?;
    let mut spans = Spans { known: Vec::new(), complete_len: complete_len_of(like) };
    for (index, head) in parts.filter(|(_, head)| are_same(head, like)) {
        spans.add(index, head);
    }
    let complete_len = spans.complete_len;
    let (mut before, mut first) = spans.tile(0, complete_len.unwrap_or(u64::MAX));
    if Some(first) == complete_len {
        // All is there, but in pieces that nobody has put together yet: the last one is fetched again.
        first -= before.pop()?.len;
        return (!before.is_empty()).then_some(Missing {
            first,
            last: None,
            before,
            after: Vec::new(),
            complete_len,
        });
    }
    let (after, end) = spans.tile_back(first, complete_len);
    let last = if after.is_empty() { None } else { Some(end.checked_sub(1)?) };
    (!before.is_empty() || !after.is_empty()).then_some(Missing { first, last, before, after, complete_len })
}

/// Makes the fields those of a complete response of this length.
pub(crate) fn describe_whole(headers: &mut HeaderMap, complete_len: u64) {
    without_digests(headers);
    headers.remove(header::CONTENT_RANGE);
    fields::set(headers, header::CONTENT_LENGTH, HeaderValue::from(complete_len));
}

/// Drops what was computed over the content of one message (RFC 9530 section 2): other content, other digest.
pub(crate) fn without_digests(headers: &mut HeaderMap) {
    static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
    static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
    headers.remove(&CONTENT_MD5);
    headers.remove(&CONTENT_DIGEST);
}

/// The other stored responses to GET that the same requests select.
fn beside<'a>(
    stored: &'a [StoredResponse],
    new: &'a StoredHead,
) -> impl Iterator<Item = (usize, &'a StoredHead)> {
    let heads = stored.iter().enumerate().map(|(index, one)| (index, &*one.head));
    heads
        .filter(|(_, head)| head.id != new.id && head.method == new.method && head.selecting == new.selecting)
}

/// Section 3.4: combined only "if they all share the same strong validator".
fn are_same(one: &StoredHead, other: &StoredHead) -> bool {
    same_representation(one, &other.headers)
        && same_representation(other, &one.headers)
        && may_be_same_coding(one, &other.headers)
}

/// Origins are known to give one tag to two content codings. A 206 may leave the field out (RFC 9110 15.3.7).
pub(crate) fn may_be_same_coding(head: &StoredHead, other: &HeaderMap) -> bool {
    let own = head.headers.get(header::CONTENT_ENCODING);
    own.zip(other.get(header::CONTENT_ENCODING)).is_none_or(|(own, other)| own == other)
}

/// Whether the new part shows that the representation which the old response is of has been replaced since.
fn was_changed(old: &StoredHead, new: &StoredHead) -> bool {
    let modified = |head: &StoredHead| head.headers.get(header::LAST_MODIFIED).cloned();
    let differ = match (etag(&old.headers), etag(&new.headers)) {
        (Some(old), Some(new)) => !weakly_equal(old, new),
        (None, None) => modified(old).zip(modified(new)).is_some_and(|(old, new)| old != new),
        _ => false,
    };
    let is_representation = old.range.is_some() || old.status == StatusCode::OK;
    differ && is_representation && old.freshness.date <= new.freshness.date
}

/// Whether a complete stored response holds this span too.
fn holds_all(head: &StoredHead, span: Span, complete_len: Option<u64>) -> bool {
    let complete = head.range.is_none() && head.status == StatusCode::OK;
    let len = head.body.map(|body| body.len);
    complete && len.is_some_and(|len| span.end <= len && complete_len.is_none_or(|other| other == len))
}

/// The stored parts that are one too many once the union stands.
fn beyond_limit(
    stored: &[StoredResponse],
    at: usize,
    superfluous: &[usize],
    union: Option<&Union>,
) -> Vec<usize> {
    let Some(new) = stored.get(at) else { return Vec::new() };
    let goes = |index: &usize| {
        superfluous.contains(index) || union.is_some_and(|union| union.replaces.contains(index))
    };
    let mut parts: Vec<_> = beside(stored, &new.head)
        .filter(|(index, head)| head.range.is_some() && !goes(index))
        .map(|(index, head)| (std::cmp::Reverse(head.response_time), index))
        .collect();
    parts.sort_unstable();
    parts.into_iter().skip(MOST_PARTS - 1).map(|(_, index)| index).collect()
}

/// What the run is as one stored response; `None` when these settings would not store it.
fn united(
    policy: &Policy,
    stored: &[StoredResponse],
    new: Span,
    run: &Run,
    complete_len: Option<u64>,
) -> Option<Union> {
    let (mut slices, reached) = tile(&run.members, run.first, new.first);
    let (after, end) = tile(&run.members, new.end, run.end);
    if reached != new.first || end != run.end {
        return None;
    }
    slices.push(new.slice(new.first, new.end));
    slices.extend(after);
    let replaces: Vec<usize> = run.members.iter().map(|span| span.index).collect();
    let heads = replaces.iter().filter_map(|index| stored.get(*index)).map(|one| &*one.head).collect();
    let newest = &*stored.get(new.index)?.head;
    let mut head = merged(policy, newest, heads, complete_len == Some(run.end - run.first))?;
    let len = run.end - run.first;
    if head.status == StatusCode::OK {
        describe_whole(&mut head.headers, len);
    } else {
        describe_part(&mut head.headers, run.first, run.end, complete_len)?;
        head.range = Some(StoredRange { first: run.first, complete_len });
    }
    head.body = Some(BodySummary { len, checksum: 0 });
    Some(Union { head, slices, replaces })
}

/// The newest part's head, with the fields that only older ones have (section 3.4: "updated ... as per Section 3.2").
fn merged(
    policy: &Policy,
    newest: &StoredHead,
    mut heads: Vec<&StoredHead>,
    whole: bool,
) -> Option<StoredHead> {
    heads.sort_by_key(|head| (head.id == newest.id, head.response_time));
    let mut headers = HeaderMap::new();
    for head in &heads {
        let mut updated = fields::update_fields(&headers, &head.headers).ok()?;
        // Those that an update leaves alone: the first part that has them brings them.
        for name in
            head.headers.keys().filter(|name| !updated.contains_key(*name)).cloned().collect::<Vec<_>>()
        {
            for value in head.headers.get_all(&name) {
                updated.try_append(name.clone(), value.clone()).ok()?;
            }
        }
        headers = updated;
    }
    let directives = ResponseDirectives::parse(&headers, policy.target_fields());
    headers = fields::without(headers, &dropped(policy, &directives));
    let status = if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let authorized = heads.iter().any(|head| head.authorized);
    let facts = Facts {
        status,
        headers: &headers,
        authorized,
        overridden: newest.freshness.overridden.then_some(newest.freshness.lifetime),
        response_time: newest.response_time,
    };
    let mut freshness = assess(policy, &facts, &directives).ok()?;
    freshness.initial_age = newest.freshness.initial_age;
    freshness.date = newest.freshness.date;

    let mut head = newest.clone();
    head.id = EntryId::random();
    head.status = status;
    head.headers = headers;
    head.authorized = authorized;
    head.trailers = None;
    head.range = None;
    // As old as its oldest part: an invalidation of that one concerns the whole.
    head.as_of = heads.iter().map(|head| head.as_of).min().unwrap_or(0);
    head.groups = heads.iter().flat_map(|head| head.groups.iter().cloned()).collect();
    head.groups.sort();
    head.groups.dedup();
    head.usable_until = usable_until(policy, &freshness, newest.response_time);
    head.freshness = freshness;
    // Each part can bring names that the others do not have.
    Some(head).filter(StoredHead::is_within_limits)
}

fn describe_part(headers: &mut HeaderMap, first: u64, end: u64, complete_len: Option<u64>) -> Option<()> {
    let complete_len = complete_len.map_or_else(|| "*".to_owned(), |len| len.to_string());
    let range = format!("bytes {first}-{}/{complete_len}", end.checked_sub(1)?);
    without_digests(headers);
    fields::set(headers, header::CONTENT_RANGE, HeaderValue::try_from(range).ok()?);
    fields::set(headers, header::CONTENT_LENGTH, HeaderValue::from(end - first));
    Some(())
}
