//! How much one stored head may hold. Everything in it that an origin can make grow has a limit.
//!
//! A response over a limit is passed on and not stored.

use http::HeaderMap;

use super::StoredHead;
use super::codec::{self, MAX_HEAD_LEN};

/// The most header fields of a stored head, a repeated one counted as often as it is there, with the `Date` and `Age`
/// that the cache adds. As many trailer fields are stored.
pub const MOST_FIELDS: usize = 256;

/// The most bytes in the names and values of a head's header fields (64 KiB). As many bytes of trailer fields are stored.
pub const MOST_FIELD_BYTES: usize = 64 * 1024;

/// The most groups of a stored head, the user's own among them.
pub const MOST_GROUPS: usize = 256;

/// Whether these fields are few and short enough to be stored.
pub(crate) fn fields_fit(fields: &HeaderMap) -> bool {
    let sizes = || fields.iter().map(|(name, value)| name.as_str().len() + value.len());
    // The number first: it is at hand, and bounds the time of the rest.
    fields.len() <= MOST_FIELDS && sizes().sum::<usize>() <= MOST_FIELD_BYTES
}

impl StoredHead {
    /// Whether the head is within all limits: [`MOST_FIELDS`], [`MOST_FIELD_BYTES`], [`MOST_GROUPS`] and, in its
    /// encoded form, [`MAX_HEAD_LEN`]. The cache stores no other.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        fields_fit(&self.headers)
            && self.trailers.as_ref().is_none_or(fields_fit)
            && self.groups.len() <= MOST_GROUPS
            && codec::encoded_len(self) <= MAX_HEAD_LEN
    }
}
