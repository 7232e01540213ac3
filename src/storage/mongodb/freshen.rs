//! Freshening: a new head for a stored response; its body stays.

use std::future::IntoFuture;

use mongodb::bson::doc;

use super::document;
use super::error::lost_race;
use super::found::Fields;
use super::layout::{fence_number, kind, variant};
use super::store::{Store, primary};
use crate::entry::{StoredHead, codec};
use crate::storage::{Fence, StorageError, StorageErrorKind};

/// A writer that other writers of the variant overtake this often gives up.
const TURNS: usize = 20;

impl Store {
    pub(super) async fn freshen(&self, mut head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        let doing = "freshening";
        let (key, entry) = (head.key.hex_digest(), head.id.to_string());
        let found = self.under(doing, &key, Fields::All, Some(primary())).await?;
        // A removal after this makes the document invisible, even if it is written again.
        if found.refuses(fence_number(fence), false) {
            return Ok(false);
        }
        let Some(record) = found.records.into_iter().find(|record| !record.is_alias && record.entry == entry)
        else {
            return Ok(false);
        };
        let Some(stored) = record.head() else { return Ok(false) };
        head.body = stored.body;
        let exact = codec::encode(&head);
        self.check_head(exact.len())?;
        if record.body.is_none() && stored.usable_until < head.usable_until {
            // The chunks first: a head must not stay longer than its body.
            self.keep_body_until(&entry, head.usable_until).await?;
        }
        let set = document::freshened(&head, exact);
        let same = doc! { "key": &key, "entry": &entry, "kind": kind::RESPONSE };
        for _ in 0..TURNS {
            let update = self.heads.update_one(same.clone(), doc! { "$set": &set });
            let updated = self.in_time(doing, update.into_future()).await?;
            if !lost_race(&updated) {
                let updated = updated.map_err(|error| self.failure(doing, error))?;
                return Ok(updated.matched_count > 0);
            }
            // The 304 changed the selecting fields to those of another variant: the freshened one replaces it.
            let variant = variant(&head);
            let other = doc! { "key": &key, "variant": variant, "entry": { "$ne": &entry } };
            let other = self.heads.find_one_and_delete(other).projection(doc! { "entry": 1 });
            let other = self.call(doing, other).await?;
            if let Some(other) = other.as_ref().and_then(|other| other.get_str("entry").ok()) {
                self.delete_bodies(&[other.to_owned()]).await.ok();
            }
        }
        Err(self.error(StorageErrorKind::Unavailable, "freshening: too many writers of one key"))
    }
}
