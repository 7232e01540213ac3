//! Lookup: everything under a key in one round trip.

use std::sync::Arc;

use mongodb::bson::{Bson, doc};

use super::found::{Fields, Found};
use super::record::Record;
use super::store::Store;
use crate::entry::usual_groups;
use crate::key::CacheKey;
use crate::storage::kit::Row;
use crate::storage::{Fence, Lookup, StorageError};

const DOING: &str = "looking up";

impl Store {
    pub(super) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        // Nearly all responses under a key have the URI in the key, so their usual groups are known beforehand.
        let usual: Vec<_> = key.uri().map(usual_groups).into_iter().flatten().collect();
        let found = self.under_with_slots(DOING, &key.hex_digest(), &usual, Fields::All, None).await?;
        let Found { namespace, records, mut slots, .. } = found;
        slots.asked.extend(usual);
        let (fence, as_of) = (namespace.clock.unsigned_abs(), namespace.invalidations.unsigned_abs());
        let mut lookup = Lookup { fence: Fence(fence), as_of, ..Lookup::default() };
        let mut alias = None;
        let mut garbage = Vec::new();
        for record in records {
            let is_garbage = if record.is_alias {
                take(record.alias(Some(key)), |found| alias = Some(found))
            } else {
                take(record.response(Some(key)), |found| lookup.responses.push(found))
            };
            if is_garbage {
                garbage.push(record);
            }
        }
        let found = lookup.responses.iter_mut().chain(alias.as_mut().map(|alias| &mut alias.response));
        self.mark_invalidated(DOING, found.collect(), as_of, slots).await?;
        lookup.alias = alias.map(Arc::new);
        self.drop_garbage(&garbage).await;
        Ok(lookup)
    }

    /// Removes documents that do not decode.
    async fn drop_garbage(&self, records: &[Record]) {
        for record in records {
            let published = record.published.map_or(Bson::Null, Bson::Timestamp);
            let same = doc! { "_id": record.object, "published": published };
            // A lookup does not fail because of this: the next one tries again.
            if self.call("removing garbage", self.heads.delete_one(same)).await.is_ok() {
                self.delete_bodies(std::slice::from_ref(&record.entry)).await.ok();
            }
        }
    }
}

/// Hands over what was found. Whether it is garbage, to be removed.
fn take<T>(row: Row<T>, found: impl FnOnce(T)) -> bool {
    let is_garbage = matches!(row, Row::Garbage);
    if let Some(value) = row.found() {
        found(value);
    }
    is_garbage
}
