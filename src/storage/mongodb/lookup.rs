//! Lookup: everything under a key in one round trip.

use std::sync::Arc;

use mongodb::bson::{Bson, doc};

use super::found::{Fields, Found};
use super::row::{Decoded, Row};
use super::store::Store;
use crate::entry::usual_groups;
use crate::key::CacheKey;
use crate::storage::{Fence, Lookup, StorageError};

const DOING: &str = "looking up";

impl Store {
    pub(super) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        // Nearly all responses under a key have the URI in the key, so their usual groups are known beforehand.
        let usual: Vec<_> = key.uri().map(usual_groups).into_iter().flatten().collect();
        let found = self.under_with_slots(DOING, &key.hex_digest(), &usual, Fields::All, None).await?;
        let Found { namespace, rows, mut slots, .. } = found;
        slots.asked.extend(usual);
        let (fence, as_of) = (namespace.clock.unsigned_abs(), namespace.invalidations.unsigned_abs());
        let mut lookup = Lookup { fence: Fence(fence), as_of, ..Lookup::default() };
        let mut alias = None;
        let mut garbage = Vec::new();
        for row in rows {
            match row.decode() {
                Decoded::Response(response) if response.head.key == *key => lookup.responses.push(response),
                Decoded::Alias(found) if found.response.head.key == *key => alias = Some(found),
                Decoded::OtherVersion => {}
                _ => garbage.push(row),
            }
        }
        let found = lookup.responses.iter_mut().chain(alias.as_mut().map(|alias| &mut alias.response));
        self.mark_invalidated(DOING, found.collect(), as_of, slots).await?;
        lookup.alias = alias.map(Arc::new);
        self.drop_garbage(&garbage).await;
        Ok(lookup)
    }

    /// Removes documents that do not decode.
    async fn drop_garbage(&self, rows: &[Row]) {
        for row in rows {
            let published = row.published.map_or(Bson::Null, Bson::Timestamp);
            let same = doc! { "_id": row.object, "published": published };
            // A lookup does not fail because of this: the next one tries again.
            if self.call("removing garbage", self.heads.delete_one(same)).await.is_ok() {
                self.delete_bodies(std::slice::from_ref(&row.entry)).await.ok();
            }
        }
    }
}
