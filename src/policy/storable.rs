//! May it be kept (RFC 9111 section 3)?

use http::response;

use crate::entry::StoredHead;
use crate::key::CacheKey;
use crate::policy::{Asked, Policy, Times};

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStored {
    /// The request or the user said no-store.
    RequestNoStore,
}

impl NotStored {
    /// A short text for `Cache-Status`' `detail`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestNoStore => "request no-store",
        }
    }
}

/// The head to store for this response, or why there is none.
///
/// Judges status, fields and request; whether the body arrives whole is not known yet.
///
/// # Errors
///
/// [`NotStored`] is the reason to give.
pub fn storable(
    policy: &Policy,
    asked: &Asked<'_>,
    key: &CacheKey,
    response: &response::Parts,
    times: Times,
) -> Result<StoredHead, NotStored> {
    let _ = (policy, asked, key, response, times);
    todo!()
}
