//! Opening the stored bodies that a validation relies on, before the origin is asked.
//!
//! If a stored body is lost, the request goes out without preconditions, and one trip is enough.

use super::lookup::Found;
use crate::body::StoredSlice;
use crate::config::Config;
use crate::entry::StoredBody;
use crate::policy::{Slice, Validation};
use crate::status::Fwd;
use crate::storage::StorageError;

/// Stored bodies, opened.
pub(super) enum OpenedBodies {
    /// No body needs to be opened.
    Nothing,
    /// The body of the response with this index.
    Selected(usize, StoredSlice),
    /// The bodies before and after the bytes that are requested from the origin (RFC 9111 section 3.4).
    Parts(Vec<StoredSlice>, Vec<StoredSlice>),
}

/// Opens the bodies that the validation needs. If one cannot be read, there is nothing to validate.
pub(super) async fn open_bodies(
    config: &Config,
    found: &Found,
    validation: Validation,
) -> (Validation, OpenedBodies) {
    if validation.missing.is_none() && streamed(found, &validation).is_none() {
        return (validation, OpenedBodies::Nothing);
    }
    // Boxed, because few requests come here and all would carry the room for it.
    match Box::pin(opened(config, found, &validation)).await {
        Ok(ready) => (validation, ready),
        Err(_) => (Validation::none(Fwd::Miss), OpenedBodies::Nothing),
    }
}

async fn opened(
    config: &Config,
    found: &Found,
    validation: &Validation,
) -> Result<OpenedBodies, StorageError> {
    if let Some(missing) = &validation.missing {
        let before = all(config, found, &missing.before).await?;
        return Ok(OpenedBodies::Parts(before, all(config, found, &missing.after).await?));
    }
    match streamed(found, validation) {
        Some(whole) => {
            let body = one(config, found, whole).await?;
            Ok(body.map_or(OpenedBodies::Nothing, |body| OpenedBodies::Selected(whole.index, body)))
        }
        None => Ok(OpenedBodies::Nothing),
    }
}

/// The body of the selected response, where it did not come with its head.
fn streamed(found: &Found, validation: &Validation) -> Option<Slice> {
    let index = validation.selected.filter(|_| validation.is_conditional())?;
    let stored = found.stored.get(index)?;
    let is_streamed = matches!(stored.body, StoredBody::Streamed);
    is_streamed.then(|| Slice { index, skip: 0, len: stored.head.body_len() })
}

async fn all(config: &Config, found: &Found, slices: &[Slice]) -> Result<Vec<StoredSlice>, StorageError> {
    let mut opened = Vec::with_capacity(slices.len());
    for slice in slices {
        opened.extend(one(config, found, *slice).await?);
    }
    Ok(opened)
}

/// Some bytes of a stored body. One that cannot be read is removed from the store.
async fn one(
    config: &Config,
    found: &Found,
    Slice { index, skip, len }: Slice,
) -> Result<Option<StoredSlice>, StorageError> {
    let Some(stored) = found.stored.get(index) else { return Ok(None) };
    let opened = StoredSlice::open(&config.store, stored).await;
    let opened = opened.inspect_err(|_| found.discard(config, index))?;
    Ok(Some(opened.range(skip, len)))
}

impl OpenedBodies {
    /// The body of this response, if it is the one that was opened.
    pub(super) fn body_of(self, wanted: usize) -> Option<StoredSlice> {
        match self {
            Self::Selected(index, body) if index == wanted => Some(body),
            _ => None,
        }
    }
}
