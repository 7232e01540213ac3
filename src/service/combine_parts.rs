//! Putting a part together with those stored beside it (RFC 9111 section 3.4).

use std::sync::Arc;

use crate::body::{Join, Joining, Piece, unite};
use crate::config::Config;
use crate::entry::{EntryId, StoredResponse};
use crate::key::CacheKey;
use crate::policy::{Combination, Union, combine};
use crate::storage::StorageError;
use crate::underway::Mark;

/// Who asks for the key does not wait for the copying of more bytes than this.
const WAITED_FOR: u64 = 1024 * 1024;

impl Join for Config {
    fn join(self: Arc<Self>, key: CacheKey, part: EntryId, union: EntryId, mark: Mark) -> Joining {
        Box::pin(async move {
            // The part stays what it is if this fails.
            let joined = join(&self, &key, part, union, mark).await;
            self.store.heard_beside(&joined);
        })
    }
}

async fn join(
    config: &Config,
    key: &CacheKey,
    part: EntryId,
    id: EntryId,
    mark: Mark,
) -> Result<(), StorageError> {
    let store = &config.store;
    // Looked up anew: other parts may have come since the request was sent.
    let Ok(found) = store.lookup_unsettled(key).await else { return Ok(()) };
    let (stored, fence) = (found.responses, found.fence);
    let Combination { union, superfluous } = combine(&config.policy, &stored, part);
    for id in ids(&stored, &superfluous) {
        store.remove_entry(key, id).await?;
    }
    let Some(Union { mut head, slices, replaces }) = union else { return Ok(()) };
    head.id = id;
    let mark = Some(mark).filter(|_| head.body_len() <= WAITED_FOR);
    let pieces = slices.iter().filter_map(|slice| {
        stored.get(slice.index).map(|stored| Piece { stored, skip: slice.skip, len: slice.len })
    });
    let united = unite(store, head, pieces.collect(), ids(&stored, &replaces), fence).await;
    drop(mark);
    united.map(drop)
}

fn ids(stored: &[StoredResponse], indices: &[usize]) -> Vec<EntryId> {
    indices.iter().filter_map(|index| stored.get(*index)).map(|one| one.head.id).collect()
}
