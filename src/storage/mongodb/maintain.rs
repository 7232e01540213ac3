//! Maintenance: reclaims the space that the server's TTL does not reclaim, or not yet.

use mongodb::bson::{DateTime, Document, doc};

use super::layout::{LAST_TIME, kind};
use super::namespace::Namespace;
use super::store::{Store, primary};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::storage::{Maintained, StorageError};

const DOING: &str = "maintaining";
/// Chunks without a head may belong to a writer at work while the newest of them is younger than this.
const WRITER_MILLIS: i64 = 3600 * 1000;

impl Store {
    pub(super) async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.ready().await?;
        // `now` may differ from the present. The difference comes from this machine's clock, and is applied to the
        // server's, with which the times of other writers are compared.
        let ahead = now.millis_since(SystemClock.now());
        let now = now.as_millis();
        let expired = self.remove_heads(DOING, expired(now)).await?;
        let cleared = self.remove_cleared().await?;
        let now = self.server_time(DOING).await?.saturating_add(ahead);
        let orphans = self.sweep_bodies(now.saturating_sub(WRITER_MILLIS)).await?;
        self.forget_fences(now).await?;
        Ok(Maintained::new(expired, cleared + orphans))
    }

    /// Removes what an interrupted clearing or a dead fill left.
    async fn remove_cleared(&self) -> Result<u64, StorageError> {
        let mut namespace = None;
        let reading = async {
            let mut cursor = self.heads.find(doc! { "kind": kind::NAMESPACE }).await?;
            while cursor.advance().await? {
                namespace = Namespace::read(cursor.current());
            }
            Ok(())
        };
        self.call(DOING, reading).await?;
        let Some(namespace) = namespace else { return Err(self.lost(DOING)) };
        let cleared = |kind: &str, clock: i64| doc! { "kind": kind, "fence": { "$lt": clock } };
        let responses =
            self.remove_heads(DOING, cleared(kind::RESPONSE, namespace.responses_cleared)).await?;
        let aliases = self.remove_heads(DOING, cleared(kind::ALIAS, namespace.aliases_cleared)).await?;
        Ok(responses + aliases)
    }

    /// Deletes chunks that no document names. An index covers the search.
    async fn sweep_bodies(&self, before: i64) -> Result<u64, StorageError> {
        let without_head = [
            doc! { "$match": { "cache": &self.options.collection } },
            doc! { "$group": { "_id": "$files_id" } },
            doc! { "$lookup": {
                "from": self.heads.name(),
                "let": { "entry": "$_id" },
                "pipeline": [
                    { "$match": { "$expr": { "$eq": ["$entry", "$$entry"] } } },
                    { "$project": { "_id": 1 } },
                ],
                "as": "head",
            } },
            doc! { "$match": { "head": [] } },
            doc! { "$project": { "_id": 1 } },
        ];
        let mut without = Vec::new();
        let reading = async {
            let mut cursor = self.chunks.aggregate(without_head).allow_disk_use(true).await?;
            while cursor.advance().await? {
                without.extend(cursor.current().get_str("_id").ok().map(str::to_owned));
            }
            Ok(())
        };
        self.call(DOING, reading).await?;
        let mut orphans = 0;
        for entry in without {
            if self.newest_chunk(&entry).await? < before {
                self.delete_bodies(&[entry]).await?;
                orphans += 1;
            }
        }
        Ok(orphans)
    }

    /// When the server stored the last chunk. Chunks without a time are not from a writer.
    async fn newest_chunk(&self, entry: &str) -> Result<i64, StorageError> {
        let newest = self.chunks.find_one(doc! { "files_id": entry }).sort(doc! { "n": -1 });
        let newest = newest.projection(doc! { "stored": 1 }).selection_criteria(primary());
        let newest = self.call(DOING, newest).await?;
        let stored = newest.and_then(|chunk| chunk.get_timestamp("stored").ok());
        Ok(stored.map_or(i64::MIN, |stored| i64::from(stored.time).saturating_mul(1000)))
    }
}

fn expired(now: i64) -> Document {
    doc! {
        "kind": { "$in": [kind::RESPONSE, kind::ALIAS] },
        // The last of all dates means "without end".
        "usable_until": { "$lte": DateTime::from_millis(now.min(LAST_TIME - 1)) },
    }
}
