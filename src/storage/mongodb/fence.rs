//! Fences: a removal leaves one document for its key, which refuses fills from before it.

use std::future::IntoFuture;

use mongodb::bson::{DateTime, doc};

use super::error::lost_race;
use super::found::Fields;
use super::layout::kind;
use super::store::{Store, primary};
use crate::storage::{StorageError, StorageErrorKind};

/// Fences are kept for a day; no fill takes longer.
const REMEMBERED_MILLIS: i64 = 24 * 3600 * 1000;
/// One removal in this many deletes old fences, for users who never call `maintain`.
const FORGET_ONE_IN: u32 = 1000;
/// Fences deleted in one round trip.
const BATCH: i64 = 500;
/// Of two writers that insert at once, the unique index refuses one, which tries again.
const TURNS: usize = 20;

impl Store {
    /// Writes the fence of a key. From then on no document with an earlier fence is visible under it, whenever it is
    /// written.
    pub(super) async fn fence_off(&self, doing: &str, digest: &str, clock: i64) -> Result<(), StorageError> {
        let fence = doc! { "key": digest, "variant": kind::REMOVAL };
        let update = doc! {
            "$max": { "removed": clock },
            // The server's time: the age of a fence depends on one clock only.
            "$currentDate": { "at": true },
            "$setOnInsert": { "kind": kind::REMOVAL },
        };
        for _ in 0..TURNS {
            let upsert = self.heads.update_one(fence.clone(), update.clone()).upsert(true);
            let done = self.in_time(doing, upsert.into_future()).await?;
            if !lost_race(&done) {
                return done.map(drop).map_err(|error| self.failure(doing, error));
            }
        }
        Err(self.error(StorageErrorKind::Unavailable, format!("{doing}: too many writers at once")))
    }

    pub(super) async fn sometimes_forget_fences(&self, doing: &str) -> Result<(), StorageError> {
        if fastrand::u32(..FORGET_ONE_IN) != 0 {
            return Ok(());
        }
        let now = self.server_time(doing).await?;
        self.forget_fences(now).await
    }

    /// Deletes fences of more than a day ago. First the floor is raised, so that a fill from before them is still
    /// refused. Then what such a fill may have left is deleted.
    pub(super) async fn forget_fences(&self, now: i64) -> Result<(), StorageError> {
        let doing = "deleting old fences";
        let before = DateTime::from_millis(now.saturating_sub(REMEMBERED_MILLIS));
        loop {
            let (mut keys, mut floor) = (Vec::new(), 0);
            let reading = async {
                let old = doc! { "kind": kind::REMOVAL, "at": { "$lt": before } };
                let mut cursor = self.heads.find(old).limit(BATCH).selection_criteria(primary()).await?;
                while cursor.advance().await? {
                    let found = cursor.current();
                    if let (Ok(key), Ok(removed)) = (found.get_str("key"), found.get_i64("removed")) {
                        keys.push(key.to_owned());
                        floor = floor.max(removed);
                    }
                }
                Ok(())
            };
            self.call(doing, reading).await?;
            if keys.is_empty() {
                return Ok(());
            }
            self.raise("floor", floor).await?;
            for key in &keys {
                let found = self.under(doing, key, Fields::State, Some(primary())).await?;
                let stale = doc! {
                    "key": key,
                    "kind": { "$in": [kind::RESPONSE, kind::ALIAS] },
                    "fence": { "$lt": found.removed },
                };
                self.remove_heads(doing, stale).await?;
            }
            let old =
                doc! { "key": { "$in": &keys }, "variant": kind::REMOVAL, "removed": { "$lte": floor } };
            // Documents of others under this name may stay, and must not be found again without end.
            if self.call(doing, self.heads.delete_many(old)).await?.deleted_count == 0 {
                return Ok(());
            }
        }
    }
}
