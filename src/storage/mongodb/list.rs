//! Listings in pages, and the usage.

use std::collections::HashMap;

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{RawDocumentBuf, doc};

use super::layout::{NAMESPACE, kind};
use super::namespace::Namespace;
use super::record::Record;
use super::store::Store;
use crate::entry::{Alias, StoredHead};
use crate::storage::{Cursor, Page, StorageError, StorageErrorKind, Usage};

impl Store {
    pub(super) async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let (records, next) = self.page(kind::RESPONSE, after, limit).await?;
        Ok(Page { items: records.iter().filter_map(Record::head).collect(), next })
    }

    pub(super) async fn aliases(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Alias>, StorageError> {
        let (records, next) = self.page(kind::ALIAS, after, limit).await?;
        Ok(Page { items: records.iter().filter_map(|record| record.alias(None).found()).collect(), next })
    }

    /// The next documents of one kind, in the order of their ids. A replaced document keeps its id.
    async fn page(
        &self,
        kind: &str,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<Cursor>), StorageError> {
        let doing = "listing";
        self.ready().await?;
        let after = after.map_or(Ok([0; 12]), |Cursor(after)| {
            <[u8; 12]>::try_from(&after[..]).map_err(|_| {
                self.error(StorageErrorKind::Invalid, "listing: the cursor is not from this storage")
            })
        })?;
        // The cache writes ids of this type only, and the comparison leaves others out.
        let asked = doc! { "kind": kind, "_id": { "$gt": ObjectId::from_bytes(after) } };
        let (mut records, mut last, mut seen) = (Vec::new(), None, 0);
        let reading = async {
            let find = self
                .heads
                .find(asked)
                .sort(doc! { "_id": 1 })
                .projection(doc! { "body": 0, "text": 0, "json": 0 });
            let mut cursor = find.limit(i64::try_from(limit.max(1)).unwrap_or(i64::MAX)).await?;
            while cursor.advance().await? {
                let found = cursor.current();
                last = found.get_object_id("_id").ok();
                seen += 1;
                records.extend(Record::read(found));
            }
            Ok(())
        };
        self.call(doing, reading).await?;
        self.drop_removed(doing, &mut records).await?;
        let last = last.filter(|_| seen >= limit);
        Ok((records, last.map(|last| Cursor(Bytes::copy_from_slice(&last.bytes())))))
    }

    /// Leaves out what fills from before a removal left.
    async fn drop_removed(&self, doing: &str, records: &mut Vec<Record>) -> Result<(), StorageError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<_> = records.iter().map(|record| record.key.as_str()).collect();
        keys.push(NAMESPACE);
        let asked = doc! { "key": { "$in": keys }, "variant": { "$in": [kind::REMOVAL, ""] } };
        let mut removals = HashMap::new();
        let mut namespace = None;
        let reading = async {
            let mut cursor = self.heads.find(asked).await?;
            while cursor.advance().await? {
                let found: RawDocumentBuf = cursor.current().to_owned();
                match (found.get_str("key"), found.get_i64("removed")) {
                    (Ok(key), Ok(removed)) => {
                        removals.insert(key.to_owned(), removed);
                    }
                    _ => namespace = namespace.or_else(|| Namespace::read(&found)),
                }
            }
            Ok(())
        };
        self.call(doing, reading).await?;
        let Some(namespace) = namespace else { return Err(self.lost(doing)) };
        records.retain(|record| {
            record.fence >= namespace.cleared(record.is_alias)
                && removals.get(&record.key).is_none_or(|removed| record.fence >= *removed)
        });
        Ok(())
    }

    pub(super) async fn usage(&self) -> Result<Usage, StorageError> {
        self.ready().await?;
        // An index covers this.
        let sum = [
            doc! { "$match": { "kind": { "$in": [kind::RESPONSE, kind::ALIAS] } } },
            doc! { "$group": { "_id": "$kind", "count": { "$sum": 1_i64 }, "bytes": { "$sum": "$bytes" } } },
        ];
        let mut usage = Usage::default();
        let reading = async {
            let mut cursor = self.heads.aggregate(sum).await?;
            while cursor.advance().await? {
                let found = cursor.current();
                let count = found.get_i64("count").unwrap_or_default().unsigned_abs();
                usage.bytes += found.get_i64("bytes").unwrap_or_default().unsigned_abs();
                match found.get_str("_id") {
                    Ok(kind::RESPONSE) => usage.responses = count,
                    _ => usage.aliases = count,
                }
            }
            Ok(())
        };
        self.call("adding up", reading).await?;
        Ok(usage)
    }
}
