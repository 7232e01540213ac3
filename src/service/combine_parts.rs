//! Combining a part with other stored parts (RFC 9111 section 3.4).
//!
//! The part is stored on its own first. No caller waits while stored bytes are copied. A failed copy loses nothing else.

use crate::body::combine;
use crate::config::Config;
use crate::entry::{EntryId, StoredResponse};
use crate::key::CacheKey;
use crate::policy::{Combination, Union, combine as combination};
use crate::storage::Published;
use crate::underway::Mark;

/// Requests for the key do not wait for the copying of more bytes than this.
const WAITED_FOR: u64 = 1024 * 1024;

/// Combines the part with this id, which has just been stored. Requests for the key wait for as long as the mark is
/// held. Returns the id of the combined response, if there is one. The part stays unchanged if this fails.
pub(super) async fn combine_parts(
    config: &Config,
    key: &CacheKey,
    part: EntryId,
    mark: Mark,
) -> Option<EntryId> {
    let store = &config.store;
    // Looked up anew: other parts may have come since the request was sent.
    let found = store.lookup_unsettled(key).await.ok()?;
    let (stored, fence) = (found.responses, found.fence);
    let Combination { union, superfluous } = combination(&config.policy, &stored, part);
    store.remove_entries(key, ids(&stored, &superfluous)).await;
    let Union { mut head, slices, replaces } = union?;
    head.id = EntryId::random();
    let (id, mark) = (head.id, Some(mark).filter(|_| head.body_len() <= WAITED_FOR));
    if let Ok(Published::Stored) = combine(store, head, &stored, &slices, fence).await {
        store.remove_entries(key, ids(&stored, &replaces)).await;
    }
    drop(mark);
    // Also where the storage did not say in time that it is stored.
    Some(id)
}

fn ids(stored: &[StoredResponse], indices: &[usize]) -> Vec<EntryId> {
    indices.iter().filter_map(|index| stored.get(*index)).map(|one| one.head.id).collect()
}
