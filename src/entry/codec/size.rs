//! How long an encoded head is, and how long it may be.

use http::HeaderMap;

use super::fields::MAX_FIELDS;
use super::head::MAX_GROUPS;
use crate::entry::StoredHead;
use crate::key::SelectingValue;

/// The longest encoded head that is decoded. Larger heads can be encoded, but come back as corrupt: do not store them.
/// The cache never asks for that ([`StoredHead::is_within_limits`]).
pub const MAX_HEAD_LEN: usize = 4 << 20;

/// Whether what [`encode`](super::encode) makes of this head is decoded again: it is within [`MAX_FIELDS`] and [`MAX_HEAD_LEN`], and has
/// not too many groups.
#[must_use]
pub fn is_decodable(head: &StoredHead) -> bool {
    let few = |fields: &HeaderMap| fields.len() <= MAX_FIELDS;
    few(&head.headers)
        && head.trailers.as_ref().is_none_or(few)
        && head.selecting.fields.len() <= MAX_FIELDS
        && head.groups.len() <= MAX_GROUPS
        && encoded_len(head) <= MAX_HEAD_LEN
}

/// Room for the encoded head: never less than it takes, so that writing does not grow it.
pub(in crate::entry) fn encoded_len(head: &StoredHead) -> usize {
    const NUMBERS: usize = 10;
    let fields = |fields: &HeaderMap| {
        let lens = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 2 * NUMBERS);
        lens.sum::<usize>()
    };
    let selecting = head.selecting.fields.iter().map(|field| {
        let value = match &field.value {
            SelectingValue::Absent => 0,
            SelectingValue::Plain(value) => value.len(),
            SelectingValue::Hashed(hash) => hash.len(),
        };
        field.name.as_str().len() + value + 2 * NUMBERS
    });
    let groups = head.groups.iter().map(|group| group.origin.len() + group.name.len() + 2 * NUMBERS);
    256 + head.key.canonical().len()
        + head.uri.len()
        + head.method.as_str().len()
        + fields(&head.headers)
        + head.trailers.as_ref().map_or(0, fields)
        + selecting.sum::<usize>()
        + groups.sum::<usize>()
}
