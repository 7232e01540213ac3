//! Which bytes of their representation the stored parts do not have.

use crate::entry::StoredHead;
use crate::policy::parts::same::are_same;
use crate::policy::parts::spans::{Slice, Spans, complete_len_of};
use crate::policy::validators::strong_validator;

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
        // All bytes are stored, but in parts that are not combined yet. The last one is fetched again.
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
