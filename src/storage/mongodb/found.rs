//! The documents under one key, read in one round trip.

use mongodb::bson::{Document, RawBsonRef, doc};
use mongodb::options::SelectionCriteria;

use super::groups::{Slots, slot_key};
use super::layout::{NAMESPACE, kind};
use super::namespace::Namespace;
use super::record::Record;
use super::store::Store;
use crate::entry::GroupId;
use crate::storage::StorageError;

/// The documents under one key.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) namespace: Namespace,
    /// The clock's value of the last removal of the key.
    pub(super) removed: i64,
    /// Responses and aliases that were neither removed nor cleared, the most recently published first.
    pub(super) records: Vec<Record>,
    /// The numbers of the slots that were read.
    pub(super) slots: Slots,
}

/// Which fields of the documents are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fields {
    /// All that a lookup returns.
    All,
    /// Those that decide about fences and limits.
    State,
}

impl Found {
    /// Whether a publication with this fence is refused.
    pub(super) fn refuses(&self, fence: i64, is_alias: bool) -> bool {
        fence < self.removed || fence < self.namespace.floor || fence < self.namespace.cleared(is_alias)
    }

    fn drop_invisible(&mut self) {
        let Self { namespace, removed, records, .. } = self;
        records
            .retain(|record| record.fence >= *removed && record.fence >= namespace.cleared(record.is_alias));
        records.sort_by_key(|record| std::cmp::Reverse(record.published.map(|at| (at.time, at.increment))));
    }
}

impl Store {
    /// All documents under the digest of a key. `member` says which member is asked.
    pub(super) async fn under(
        &self,
        doing: &str,
        digest: &str,
        fields: Fields,
        member: Option<SelectionCriteria>,
    ) -> Result<Found, StorageError> {
        self.under_with_slots(doing, digest, &[], fields, member).await
    }

    /// The same, with the numbers of these groups' slots.
    pub(super) async fn under_with_slots(
        &self,
        doing: &str,
        digest: &str,
        groups: &[GroupId],
        fields: Fields,
        member: Option<SelectionCriteria>,
    ) -> Result<Found, StorageError> {
        let keys = [NAMESPACE.to_owned(), digest.to_owned()];
        let keys: Vec<_> = keys.into_iter().chain(groups.iter().copied().map(slot_key)).collect();
        self.ready().await?;
        if let Some(found) = self.try_under(doing, &keys, fields, member.clone()).await? {
            return Ok(found);
        }
        self.opening.forget();
        self.ready().await?;
        self.try_under(doing, &keys, fields, member).await?.ok_or_else(|| self.lost(doing))
    }

    async fn try_under(
        &self,
        doing: &str,
        keys: &[String],
        fields: Fields,
        member: Option<SelectionCriteria>,
    ) -> Result<Option<Found>, StorageError> {
        let mut find = self.heads.find(doc! { "key": { "$in": keys } });
        // A projection costs the server more than sending the copies for people does, unless a decoded body is among them.
        if matches!(fields, Fields::State) || self.options.decode {
            find = find.projection(projection(fields));
        }
        if let Some(member) = member {
            find = find.selection_criteria(member);
        }
        let mut namespace = None;
        let mut schema = None;
        let mut removed = 0;
        let mut records = Vec::new();
        let mut slots = Slots::default();
        let reading = async {
            let mut cursor = find.await?;
            while cursor.advance().await? {
                let found = cursor.current();
                match found.get_str("kind") {
                    Ok(kind::NAMESPACE) => {
                        namespace = Namespace::read(found);
                        schema = Some(found.get("schema").ok().flatten().and_then(RawBsonRef::as_i64));
                    }
                    Ok(kind::REMOVAL) => removed = found.get_i64("removed").unwrap_or(i64::MAX),
                    Ok(kind::SLOT) => slots.read(found),
                    _ => records.extend(Record::read(found)),
                }
            }
            Ok(())
        };
        self.call(doing, reading).await?;
        if let Some(schema) = schema {
            self.check_schema(schema)?;
        }
        let Some(namespace) = namespace else { return Ok(None) };
        let mut found = Found { namespace, removed, records, slots };
        found.drop_invisible();
        Ok(Some(found))
    }
}

fn projection(fields: Fields) -> Document {
    let mut projection = doc! {
        "kind": 1, "key": 1, "variant": 1, "entry": 1, "fence": 1, "published": 1, "removed": 1,
        "schema": 1, "clock": 1, "responses_cleared": 1, "aliases_cleared": 1, "floor": 1, "invalidations": 1,
        "number": 1,
    };
    if matches!(fields, Fields::All) {
        projection.insert("exact", 1);
        projection.insert("body", 1);
    }
    projection
}
