//! Taking away: one key, one entry, a keyspace.

use mongodb::bson::{DateTime, Document, doc};

use super::found::{Fields, kind};
use super::namespace::CLOCK;
use super::store::{Store, primary};
use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::storage::{Keyspace, StorageError};

/// Documents removed in one trip.
pub(super) const BATCH: i64 = 500;
/// Removals are remembered one by one for a day; no fill takes longer.
const REMEMBERED_MILLIS: i64 = 24 * 3600 * 1000;
/// One removal in so many forgets the old ones, for users who never maintain.
const FORGET_ONE_IN: u32 = 1000;

impl Store {
    pub(crate) async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let digest = key.hex_digest();
        let doing = "removing";
        let clock = self.tick(doing, CLOCK, &[]).await?;
        // From here on nothing with an earlier fence is visible under the key, stored already or not.
        let update = doc! {
            "$max": { "removed": clock },
            // The server's time: when a removal is forgotten is no matter of two clocks.
            "$currentDate": { "at": true },
            "$setOnInsert": { "kind": kind::REMOVAL },
        };
        self.upsert(doing, doc! { "key": &digest, "variant": kind::REMOVAL }, update).await?;
        let older = doc! {
            "key": &digest,
            "kind": { "$in": [kind::RESPONSE, kind::ALIAS] },
            "fence": { "$lt": clock },
        };
        let removed = self.remove_heads(doing, older).await?;
        if fastrand::u32(..FORGET_ONE_IN) == 0 {
            let now = self.server_time(doing).await?;
            self.forget_removals(now).await?;
        }
        Ok(removed > 0)
    }

    pub(crate) async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.ready().await?;
        let entry = doc! {
            "key": key.hex_digest(),
            "entry": id.to_string(),
            "kind": { "$in": [kind::RESPONSE, kind::ALIAS] },
        };
        Ok(self.remove_heads("removing an entry", entry).await? > 0)
    }

    pub(crate) async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        const RESPONSES: &str = "responses_cleared";
        const ALIASES: &str = "aliases_cleared";
        let (cleared, kinds): (&[&str], &[&str]) = match keyspace {
            Some(Keyspace::Responses) => (&[RESPONSES], &[kind::RESPONSE]),
            Some(Keyspace::Aliases) => (&[ALIASES], &[kind::ALIAS]),
            None => (&[RESPONSES, ALIASES], &[kind::RESPONSE, kind::ALIAS]),
        };
        // One write makes all of it invisible; the rest reclaims the room.
        let clock = self.tick("clearing", CLOCK, cleared).await?;
        for kind in kinds {
            self.remove_heads("clearing", doc! { "kind": kind, "fence": { "$lt": clock } }).await?;
        }
        Ok(())
    }

    /// Removes documents and then their bodies, a batch at a time, and counts the documents.
    pub(super) async fn remove_heads(&self, doing: &str, which: Document) -> Result<u64, StorageError> {
        let mut removed = 0;
        loop {
            let (mut objects, mut entries) = (Vec::new(), Vec::new());
            let reading = async {
                let find = self.heads.find(which.clone()).limit(BATCH).projection(doc! { "entry": 1 });
                let mut cursor = find.selection_criteria(primary()).await?;
                while cursor.advance().await? {
                    let found = cursor.current();
                    objects.extend(found.get_object_id("_id").ok());
                    entries.extend(found.get_str("entry").ok().map(str::to_owned));
                }
                Ok(())
            };
            self.call(doing, reading).await?;
            if objects.is_empty() {
                return Ok(removed);
            }
            // The condition once more: what was replaced or freshened meanwhile stays.
            let mut still = which.clone();
            still.insert("_id", doc! { "$in": &objects });
            still.insert("entry", doc! { "$in": &entries });
            let deleted = self.call(doing, self.heads.delete_many(still)).await?.deleted_count;
            removed += deleted;
            let kept = self.entries_of(doing, &entries).await?;
            entries.retain(|entry| !kept.contains(entry));
            self.delete_bodies(&entries).await?;
            // Documents that somebody else wrote need not be such as can be deleted here, and would be found for ever.
            if (objects.len() as i64) < BATCH || deleted == 0 {
                return Ok(removed);
            }
        }
    }

    /// Which of these ids have a document.
    pub(super) async fn entries_of(
        &self,
        doing: &str,
        entries: &[String],
    ) -> Result<Vec<String>, StorageError> {
        let mut kept = Vec::new();
        let reading = async {
            let find = self.heads.find(doc! { "entry": { "$in": entries } }).projection(doc! { "entry": 1 });
            let mut cursor = find.selection_criteria(primary()).await?;
            while cursor.advance().await? {
                kept.extend(cursor.current().get_str("entry").ok().map(str::to_owned));
            }
            Ok(())
        };
        self.call(doing, reading).await?;
        Ok(kept)
    }

    /// Forgets removals of more than a day ago. First the floor is raised, so that a fill from before them is
    /// refused all the same, then what such a fill may have left is deleted.
    pub(super) async fn forget_removals(&self, now: i64) -> Result<(), StorageError> {
        let doing = "forgetting old removals";
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
            // As above: what somebody else wrote may stay.
            if self.call(doing, self.heads.delete_many(old)).await?.deleted_count == 0 {
                return Ok(());
            }
        }
    }
}
