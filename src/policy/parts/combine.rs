//! Combining parts of one representation (RFC 9111 section 3.4, RFC 9110 section 15.3.7.3).

use http::{HeaderMap, StatusCode};

use crate::entry::{BodySummary, EntryId, StoredHead, StoredRange, StoredResponse};
use crate::policy::assess::{assess, under};
use crate::policy::directives::ResponseDirectives;
use crate::policy::fields::{self, describe_part, describe_whole};
use crate::policy::freshness::{Facts, usable_until};
use crate::policy::parts::same::{are_same, beside, holds_all, was_changed};
use crate::policy::parts::spans::{Run, Slice, Span, Spans, complete_len_of, tile};
use crate::policy::settings::Policy;
use crate::policy::stored_fields::{dropped, update_fields};

/// The most parts of one variant that are stored. If there are more, the least recently received are removed.
const MOST_PARTS: usize = 8;

/// The consequences of a part that has just been stored for the other stored responses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Combination {
    /// The parts that become one.
    pub union: Option<Union>,
    /// Stored responses that are no longer useful.
    pub superfluous: Vec<usize>,
}

/// Parts that touch or overlap, as one stored response.
#[derive(Clone, Debug, PartialEq)]
pub struct Union {
    /// Its head, with a new id. The whole representation is a complete 200.
    pub head: StoredHead,
    /// Its body, in order. Where parts overlap, the newest counts.
    pub slices: Vec<Slice>,
    /// The parts that it replaces.
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
            // The new part contains all the others: there is nothing to write.
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

/// The stored parts that are superfluous once the union is stored.
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
        let mut updated = update_fields(&headers, &head.headers).ok()?;
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
    // As old as its oldest part, because an invalidation of that part invalidates the whole.
    head.as_of = heads.iter().map(|head| head.as_of).min().unwrap_or(0);
    head.groups = heads.iter().flat_map(|head| head.groups.iter().cloned()).collect();
    head.groups.sort();
    head.groups.dedup();
    head.usable_until = usable_until(policy, &freshness, newest.response_time);
    head.freshness = freshness;
    // Each part can bring names that the others do not have.
    Some(head).filter(StoredHead::is_within_limits)
}
