//! The documents under one key, read in one trip.

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawBsonRef, RawDocument, Timestamp, doc};
use mongodb::options::SelectionCriteria;

use super::groups::{Slots, slot_key};
use super::namespace::{NAMESPACE, Namespace};
use super::store::Store;
use crate::entry::GroupId;
use crate::storage::StorageError;

/// What a document is.
pub(super) mod kind {
    pub(in super::super) const RESPONSE: &str = "response";
    pub(in super::super) const ALIAS: &str = "alias";
    pub(in super::super) const REMOVAL: &str = "removal";
    pub(in super::super) const SLOT: &str = "slot";
    pub(in super::super) const NAMESPACE: &str = "namespace";
}

/// Every kind of document that is ours.
pub(super) const KINDS: [&str; 5] = [kind::RESPONSE, kind::ALIAS, kind::REMOVAL, kind::SLOT, kind::NAMESPACE];

/// A stored response or alias as it stands in its document.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) object: ObjectId,
    pub(super) is_alias: bool,
    pub(super) key: String,
    pub(super) variant: String,
    /// The id of the response, in hexadecimal digits.
    pub(super) entry: String,
    /// The clock of removals as the fill saw it.
    pub(super) fence: i64,
    /// Set by the server, so that it grows whoever publishes.
    pub(super) published: Option<Timestamp>,
    /// The head in its exact form; an alias' has its body in it.
    pub(super) exact: Bytes,
    /// A small body.
    pub(super) body: Option<Bytes>,
}

/// What stands under one key.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) namespace: Namespace,
    /// The clock's value of the last removal of the key.
    pub(super) removed: i64,
    /// What was neither removed nor cleared, the most recently published first.
    pub(super) rows: Vec<Row>,
    /// The numbers of the slots that were asked for.
    pub(super) slots: Slots,
}

/// How much of the documents is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fields {
    /// All that a lookup answers.
    All,
    /// What decides about fences and limits.
    State,
}

impl Row {
    pub(super) fn read(found: &RawDocument) -> Option<Self> {
        let is_alias = match found.get_str("kind").ok()? {
            kind::RESPONSE => false,
            kind::ALIAS => true,
            _ => return None,
        };
        let text = |name| found.get_str(name).unwrap_or_default().to_owned();
        let bytes = |name| found.get_binary(name).ok().map(|binary| Bytes::copy_from_slice(binary.bytes));
        Some(Self {
            object: found.get_object_id("_id").ok()?,
            is_alias,
            key: text("key"),
            variant: text("variant"),
            entry: text("entry"),
            fence: found.get_i64("fence").ok()?,
            published: found.get_timestamp("published").ok(),
            exact: bytes("exact").unwrap_or_default(),
            body: bytes("body"),
        })
    }
}

impl Found {
    /// Whether something with this fence may no longer be stored.
    pub(super) fn refuses(&self, fence: i64, is_alias: bool) -> bool {
        fence < self.removed || fence < self.namespace.floor || fence < self.cleared(is_alias)
    }

    fn cleared(&self, is_alias: bool) -> i64 {
        if is_alias { self.namespace.aliases_cleared } else { self.namespace.responses_cleared }
    }

    fn drop_invisible(&mut self) {
        let removed = self.removed;
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| row.fence >= removed && row.fence >= self.cleared(row.is_alias));
        rows.sort_by_key(|row| std::cmp::Reverse(row.published.map(|at| (at.time, at.increment))));
        self.rows = rows;
    }
}

impl Store {
    /// Everything under the digest of a key.
    pub(super) async fn under(
        &self,
        doing: &str,
        digest: &str,
        part: Fields,
        member: Option<SelectionCriteria>,
    ) -> Result<Found, StorageError> {
        self.under_with_slots(doing, digest, &[], part, member).await
    }

    /// The same, and the numbers of the slots of these groups.
    pub(super) async fn under_with_slots(
        &self,
        doing: &str,
        digest: &str,
        groups: &[GroupId],
        part: Fields,
        member: Option<SelectionCriteria>,
    ) -> Result<Found, StorageError> {
        let keys = [NAMESPACE.to_owned(), digest.to_owned()];
        let keys: Vec<_> = keys.into_iter().chain(groups.iter().copied().map(slot_key)).collect();
        self.ready().await?;
        if let Some(found) = self.try_under(doing, &keys, part, member.clone()).await? {
            return Ok(found);
        }
        self.forget_opening();
        self.ready().await?;
        self.try_under(doing, &keys, part, member).await?.ok_or_else(|| self.lost(doing))
    }

    async fn try_under(
        &self,
        doing: &str,
        keys: &[String],
        part: Fields,
        member: Option<SelectionCriteria>,
    ) -> Result<Option<Found>, StorageError> {
        let mut find = self.heads.find(doc! { "key": { "$in": keys } });
        // Picking fields costs the server more than sending those for people, unless a body is among them.
        if matches!(part, Fields::State) || self.settings.decode {
            find = find.projection(fields(part));
        }
        if let Some(member) = member {
            find = find.selection_criteria(member);
        }
        let mut namespace = None;
        let mut schema = None;
        let mut removed = 0;
        let mut rows = Vec::new();
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
                    _ => rows.extend(Row::read(found)),
                }
            }
            Ok(())
        };
        self.call(doing, reading).await?;
        if let Some(schema) = schema {
            self.check_schema(schema)?;
        }
        let Some(namespace) = namespace else { return Ok(None) };
        let mut found = Found { namespace, removed, rows, slots };
        found.drop_invisible();
        Ok(Some(found))
    }
}

fn fields(part: Fields) -> Document {
    let mut fields = doc! {
        "kind": 1, "key": 1, "variant": 1, "entry": 1, "fence": 1, "published": 1, "removed": 1,
        "schema": 1, "clock": 1, "responses_cleared": 1, "aliases_cleared": 1, "floor": 1, "invalidations": 1,
        "number": 1,
    };
    if matches!(part, Fields::All) {
        fields.insert("exact", 1);
        fields.insert("body", 1);
    }
    fields
}
