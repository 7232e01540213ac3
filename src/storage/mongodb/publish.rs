//! Publication without transactions. The page of the module `mongodb` says why no removal is lost.

use std::future::IntoFuture;

use mongodb::bson::{Document, doc};

use super::document::{self, Kept};
use super::error::lost_race;
use super::found::{Fields, Found};
use super::layout::{fence_number, kind};
use super::store::{Store, primary};
use crate::entry::{Alias, StoredHead, codec};
use crate::storage::kit;
use crate::storage::{Fence, Published, StorageError, StorageErrorKind};

/// The longest exact head that is stored. Its copy for people can take three times as much.
const MAX_HEAD: usize = 1024 * 1024;
/// A writer that other writers of the variant overtake this often gives up.
const TURNS: usize = 20;

impl Store {
    /// Publishes a response whose chunks, if any, are stored.
    pub(super) async fn publish(
        &self,
        head: &StoredHead,
        body: Option<&[u8]>,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        // The trailer fields came with the end of the body.
        kit::check_head(self.name, head)?;
        let exact = codec::encode(head);
        self.check_head(exact.len())?;
        let kept = body.map_or(Kept::Chunks, |body| Kept::Inline { body, decode: self.options.decode });
        let fence = fence_number(fence);
        self.publish_document(document::response(head, exact, kept, fence), fence).await
    }

    pub(super) async fn publish_alias(&self, alias: &Alias, fence: Fence) -> Result<Published, StorageError> {
        let exact = codec::encode_alias(alias).ok_or_else(|| {
            self.error(StorageErrorKind::Invalid, "storing an alias: its body must be at hand")
        })?;
        self.check_head(exact.len())?;
        let fence = fence_number(fence);
        self.publish_document(document::alias(alias, exact, fence), fence).await
    }

    pub(super) fn check_head(&self, len: usize) -> Result<(), StorageError> {
        if len <= MAX_HEAD {
            return Ok(());
        }
        let what = format!("storing a head of {len} bytes: the limit is {MAX_HEAD}");
        Err(self.error(StorageErrorKind::TooLarge, what))
    }

    async fn publish_document(&self, document: Document, fence: i64) -> Result<Published, StorageError> {
        self.ready().await?;
        let doing = "publishing";
        let text = |name| document.get_str(name).unwrap_or_default();
        let (key, variant, entry) = (text("key"), text("variant"), text("entry"));
        let is_alias = text("kind") == kind::ALIAS;
        let mut newest_allowed = fence;
        for _ in 0..TURNS {
            // A document with a later fence is not replaced before it is known that nothing was removed between the two.
            let replaceable =
                doc! { "key": key, "variant": variant, "fence": { "$not": { "$gt": newest_allowed } } };
            let replace = self
                .heads
                .find_one_and_replace(replaceable, &document)
                .upsert(true)
                .projection(doc! { "entry": 1, "kind": 1 });
            let replaced = self.in_time(doing, replace.into_future()).await?;
            let raced = lost_race(&replaced);
            if !raced {
                let before = replaced.map_err(|error| self.failure(doing, error))?;
                if let Some(before) = before.as_ref().and_then(|before| before.get_str("entry").ok())
                    && before != entry
                {
                    self.delete_bodies(&[before.to_owned()]).await.ok();
                }
            }
            let found = self.under(doing, key, Fields::State, Some(primary())).await?;
            if found.refuses(fence, is_alias) {
                self.withdraw(key, entry).await?;
                return Ok(Published::Superseded);
            }
            if !raced {
                self.trim(key, found).await;
                return Ok(Published::Stored);
            }
            let standing = found.records.iter().find(|record| record.variant == variant);
            newest_allowed = standing.map_or(newest_allowed, |record| record.fence.max(newest_allowed));
        }
        Err(self.error(StorageErrorKind::Unavailable, "publishing: too many writers of one key"))
    }

    /// Deletes the document of a fill that came too late. It was never visible.
    pub(super) async fn withdraw(&self, key: &str, entry: &str) -> Result<(), StorageError> {
        self.call("withdrawing", self.heads.delete_one(doc! { "key": key, "entry": entry })).await.map(drop)
    }

    /// Removes the least recently published variants over the limit. The publication does not fail because of this: the
    /// next one tries again.
    async fn trim(&self, key: &str, found: Found) {
        let surplus: Vec<_> = found
            .records
            .into_iter()
            .filter(|record| !record.is_alias)
            .skip(self.options.max_variants)
            .map(|record| record.entry)
            .collect();
        if surplus.is_empty() {
            return;
        }
        let gone = doc! { "key": key, "kind": kind::RESPONSE, "entry": { "$in": &surplus } };
        if self.call("removing old variants", self.heads.delete_many(gone)).await.is_ok() {
            self.delete_bodies(&surplus).await.ok();
        }
    }
}
