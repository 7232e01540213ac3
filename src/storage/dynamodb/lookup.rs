//! What a lookup finds.

use std::sync::Arc;

use super::Shared;
use super::calls::Range;
use super::fence::Moment;
use super::groups::Slots;
use super::layout::{self, ALIAS_SK, CHUNKS_SK, EPOCH, FENCE_SK, Found, SK};
use crate::entry::{Alias, StoredHead, usual_groups};
use crate::key::CacheKey;
use crate::storage::kit::Row;
use crate::storage::{Lookup, StorageError};

impl Shared {
    pub(super) async fn lookup(self: &Arc<Self>, key: &CacheKey) -> Result<Lookup, StorageError> {
        // Before anything is read: a clearing that comes later is then sure to refuse what is stored by this fence.
        let generation = self.generations.get(layout::shard(key));
        let known = self.count.get();
        let pk = self.keys.entry(key);
        let consistent = self.options.consistent_reads;
        let range = Range { pk: &pk, from: ALIAS_SK, to: CHUNKS_SK, consistent, ..Range::default() };
        let (mut responses, mut alias, mut epoch) = (Vec::new(), None, 0);
        // What is stored under a key nearly always has the target that the key was made of.
        let mut slots = Slots::default();
        let usual = key.uri().map(usual_groups);
        let (items, read) = futures_util::future::join(
            self.query("looking up a key", range),
            self.read_slots(&mut slots, usual.into_iter().flatten()),
        )
        .await;
        read?;
        for item in items? {
            let Some(sk) = layout::get_text(&item, SK).map(ToOwned::to_owned) else { continue };
            let id = layout::get_text(&item, layout::ID).map(ToOwned::to_owned);
            let is_garbage = match sk.as_str() {
                FENCE_SK => {
                    epoch = layout::get_number(&item, EPOCH).unwrap_or(0);
                    false
                }
                sk if layout::is_alias(sk) => {
                    take(layout::alias_of(item, Some(key)), |found| alias = Some(found))
                }
                sk if layout::is_head(sk) => {
                    take(layout::response_of(item, Some(key)), |found| responses.push(found))
                }
                _ => false,
            };
            if is_garbage {
                let (shared, pk) = (Arc::clone(self), pk.clone());
                tokio::spawn(async move { shared.delete_garbage(&pk, &sk, id).await });
            }
        }
        let heads = responses.iter().map(|found| &*found.response.head);
        let alias_head = alias.as_ref().map(|alias: &Alias| &*alias.response.head);
        self.read_slots(&mut slots, heads.chain(alias_head).flat_map(StoredHead::group_ids)).await?;
        // All of these were counted before this is answered, and so before anything is asked of an origin for it.
        let as_of = known.max(slots.latest());
        let responses = in_order(responses, self.options.max_variants).map(|found| {
            let mut response = found.response;
            response.invalidated = slots.cover(self, &response.head);
            response
        });
        let alias = alias.map(|mut alias| {
            alias.response.invalidated = slots.cover(self, &alias.response.head);
            Arc::new(alias)
        });
        let fence = Moment { generation, epoch }.into();
        Ok(Lookup { responses: responses.collect(), alias, fence, as_of })
    }
}

/// From the most recently published on, at most so many.
fn in_order(mut found: Vec<Found>, most: usize) -> impl Iterator<Item = Found> {
    found.sort_by_key(|found| std::cmp::Reverse(found.published));
    found.into_iter().take(most)
}

/// Hands on what was found; says whether the row is garbage.
fn take<T>(row: Row<T>, found: impl FnOnce(T)) -> bool {
    match row {
        Row::Found(item) => found(item),
        Row::OtherVersion => {}
        Row::Garbage => return true,
    }
    false
}
