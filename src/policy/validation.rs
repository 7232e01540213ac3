//! The validation request for stored responses (RFC 9111 section 4.3.1).

use http::Method;
use http::header::{self, HeaderMap, HeaderValue};

use crate::clock::Timestamp;
use crate::entry::StoredResponse;
use crate::policy::fields;
use crate::policy::parts::missing::{Missing, missing};
use crate::policy::request::RequestInfo;
use crate::policy::select::{Chosen, usable};
use crate::policy::settings::Policy;
use crate::policy::validators::{self, etag, strong_validator};
use crate::status::Fwd;

/// A validation to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Why the request goes forward.
    pub fwd: Fwd,
    /// The response that answers if the origin confirms it; `None` after a vary-miss.
    pub selected: Option<usize>,
    /// All stored responses whose validators are sent.
    pub candidates: Vec<usize>,
    /// The part to request, if the selected response is partial and the client asked for the whole (section 3.4).
    pub missing: Option<Missing>,
}

impl Validation {
    /// Nothing to validate: the request goes forward as it is.
    pub(crate) const fn none(fwd: Fwd) -> Self {
        Self { fwd, selected: None, candidates: Vec::new(), missing: None }
    }

    /// The same without preconditions: a stored response can then only replace the answer of a failing origin.
    pub(crate) fn plain(self) -> Self {
        let selected = self.selected.filter(|_| self.missing.is_none());
        Self { selected, ..Self::none(self.fwd) }
    }

    /// Whether preconditions of the cache's own are sent.
    pub(crate) fn is_conditional(&self) -> bool {
        self.missing.is_some() || !self.candidates.is_empty()
    }

    /// The parts to complete.
    pub(crate) fn parts(&self) -> impl Iterator<Item = usize> {
        let selected = self.selected.filter(|_| self.missing.is_some());
        let missing = self.missing.iter();
        let others = missing.flat_map(|missing| missing.before.iter().chain(&missing.after));
        let others = others.map(|part| part.index).filter(move |index| selected != Some(*index));
        selected.into_iter().chain(others)
    }

    /// Whether the origin's answer has to be judged against a stored response.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.selected.is_some() || !self.candidates.is_empty()
    }
}

/// The most tags that are sent in one request.
const MOST_CANDIDATES: usize = 32;

/// The most bytes of tags that are sent in one request. Many servers accept 8 KiB of fields.
const MOST_TAG_BYTES: usize = 4096;

/// The validation of the selected response, or after a vary-miss of all that have an entity tag.
pub(crate) fn validation_of(
    fwd: Fwd,
    selected: Option<usize>,
    policy: &Policy,
    request: &RequestInfo<'_>,
    stored: &[StoredResponse],
    now: Timestamp,
) -> Validation {
    let candidates = stored.iter().enumerate().filter_map(|(index, response)| {
        let head = usable(policy, request, index, response, now)?.head;
        let tagged = etag(&head.headers).is_some();
        let dated = head.headers.contains_key(header::LAST_MODIFIED);
        let candidate = match selected {
            // Also the older responses that this request selects, if they have tags.
            Some(selected) => {
                index == selected && (tagged || dated)
                    || tagged && head.selecting.matches(request.headers, &head.key, policy.secret_bytes())
            }
            None => tagged,
        };
        (candidate && (head.range.is_none() || Some(index) == selected)).then_some(index)
    });
    let mut room = MOST_TAG_BYTES;
    let fits = |index: &usize| {
        let tag = stored.get(*index).and_then(|one| etag(&one.head.headers));
        let left = room.checked_sub(tag.map_or(0, <[u8]>::len));
        room = left.unwrap_or(room);
        left.is_some()
    };
    let candidates = candidates.filter(fits).take(MOST_CANDIDATES).collect();
    Validation { fwd, selected, candidates, missing: None }
}

/// The validation that completes the most recent part, together with others of its representation, where a strong
/// validator allows it (section 3.4) and the whole is what the client asked for.
pub(crate) fn completion(request: &RequestInfo<'_>, parts: &[Chosen<'_>]) -> Option<Validation> {
    let for_origin = request.conditions.range || request.conditions.only_for_origin;
    // What is put together is stored as it passes, which a request with no-store forbids.
    if *request.method != Method::GET || for_origin || request.forbids_storing() {
        return None;
    }
    let latest = parts.iter().max_by_key(|part| part.freshness.date)?;
    let missing = missing(latest.head, parts.iter().map(|part| (part.index, part.head)))?;
    let selected = Some(latest.index);
    Some(Validation { fwd: Fwd::Partial, selected, candidates: Vec::new(), missing: Some(missing) })
}

/// Replaces the request's preconditions by those of the validation (section 4.3.1).
///
/// The client's own tags are sent too (4.3.2: the union of both), so a 304 can be about either. The client's date is
/// removed, because it could be mistaken for the cache's. A `Range` stays: the origin evaluates the precondition first,
/// and then answers what the client asked for. Without candidates the request stays as it is.
pub fn preconditions(headers: &mut HeaderMap, validation: &Validation, stored: &[StoredResponse]) {
    if let (Some(missing), Some(selected)) = (&validation.missing, validation.selected) {
        ask_for_missing(headers, missing, stored.get(selected));
        return;
    }
    let heads = || validation.candidates.iter().filter_map(|index| stored.get(*index)).map(|one| &*one.head);
    if heads().next().is_none() {
        return;
    }
    let modified = match validation.candidates.as_slice() {
        // "if there is a single stored response ... for the target URI": a date names no variant. And "the request is
        // not for a subrange" that only a part is held for.
        [_] if validation.selected.is_some() => {
            heads().find(|head| head.range.is_none()).and_then(|head| head.headers.get(header::LAST_MODIFIED))
        }
        _ => None,
    };
    let mut tags: Vec<&[u8]> = Vec::new();
    for head in heads() {
        tags.extend(etag(&head.headers).filter(|tag| !tags.contains(tag)));
    }
    let ours = tags.len();
    let own: Vec<HeaderValue> = headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    for tag in own.iter().flat_map(|line| validators::tags(line.as_bytes())) {
        // Compared with the cache's own tags only, which are few. The client may send any number of tags.
        if !tags.iter().take(ours).any(|other| *other == tag) {
            tags.push(tag);
        }
    }
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
    // `*` asks whether anything exists: it cannot be mixed with tags, and would turn every answer into a 304.
    tags.retain(|tag| *tag != b"*");
    if let (false, Ok(list)) = (tags.is_empty(), HeaderValue::from_bytes(&tags.join(&b", "[..]))) {
        fields::set(headers, header::IF_NONE_MATCH, list);
    }
    if let Some(modified) = modified {
        fields::set(headers, header::IF_MODIFIED_SINCE, modified.clone());
    }
}

fn ask_for_missing(headers: &mut HeaderMap, missing: &Missing, partial: Option<&StoredResponse>) {
    let Some(validator) = partial.and_then(|partial| strong_validator(&partial.head)) else { return };
    let last = missing.last.map(|last| last.to_string()).unwrap_or_default();
    let range = format!("bytes={}-{last}", missing.first);
    let Ok(range) = HeaderValue::try_from(range) else { return };
    for own in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        headers.remove(own);
    }
    fields::set(headers, header::RANGE, range);
    fields::set(headers, header::IF_RANGE, validator.clone());
}
