//! Removal of a key, of an entry, and of a keyspace.

use mongodb::bson::{Document, doc};

use super::layout::{CLOCK, kind};
use super::store::{Store, primary};
use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::storage::{Keyspace, StorageError};

/// Documents removed in one round trip.
const BATCH: i64 = 500;

impl Store {
    pub(super) async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let digest = key.hex_digest();
        let doing = "removing";
        let clock = self.tick(doing, CLOCK, &[]).await?;
        self.fence_off(doing, &digest, clock).await?;
        let older = doc! {
            "key": &digest,
            "kind": { "$in": [kind::RESPONSE, kind::ALIAS] },
            "fence": { "$lt": clock },
        };
        let removed = self.remove_heads(doing, older).await?;
        self.sometimes_forget_fences(doing).await?;
        Ok(removed > 0)
    }

    pub(super) async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.ready().await?;
        let entry = doc! {
            "key": key.hex_digest(),
            "entry": id.to_string(),
            "kind": { "$in": [kind::RESPONSE, kind::ALIAS] },
        };
        Ok(self.remove_heads("removing an entry", entry).await? > 0)
    }

    pub(super) async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        const RESPONSES: &str = "responses_cleared";
        const ALIASES: &str = "aliases_cleared";
        let (cleared, kinds): (&[&str], &[&str]) = match keyspace {
            Some(Keyspace::Responses) => (&[RESPONSES], &[kind::RESPONSE]),
            Some(Keyspace::Aliases) => (&[ALIASES], &[kind::ALIAS]),
            None => (&[RESPONSES, ALIASES], &[kind::RESPONSE, kind::ALIAS]),
        };
        // One write makes all of it invisible; the rest reclaims space.
        let clock = self.tick("clearing", CLOCK, cleared).await?;
        for kind in kinds {
            self.remove_heads("clearing", doc! { "kind": kind, "fence": { "$lt": clock } }).await?;
        }
        Ok(())
    }

    /// Removes documents and then their bodies, in batches, and returns the number of documents.
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
            // With the condition again: what was replaced or freshened meanwhile stays.
            let mut still = which.clone();
            still.insert("_id", doc! { "$in": &objects });
            still.insert("entry", doc! { "$in": &entries });
            let deleted = self.call(doing, self.heads.delete_many(still)).await?.deleted_count;
            removed += deleted;
            let kept = self.entries_of(doing, &entries).await?;
            entries.retain(|entry| !kept.contains(entry));
            self.delete_bodies(&entries).await?;
            // A document that another program wrote may match and not be deleted; it would be found again without end.
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
}
