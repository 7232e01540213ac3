//! A stored response or alias as it is in its document, and what it decodes to.

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{RawDocument, Timestamp};

use super::layout::kind;
use crate::entry::{Alias, EntryId, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::storage::kit::{Row, row};

/// A stored response or alias as it is in its document.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) object: ObjectId,
    pub(super) is_alias: bool,
    pub(super) key: String,
    pub(super) variant: String,
    /// The id of the response, in hexadecimal digits.
    pub(super) entry: String,
    /// The clock of removals at the lookup before the fill.
    pub(super) fence: i64,
    /// Set by the server, so that it grows for all writers.
    pub(super) published: Option<Timestamp>,
    /// The head in its exact form; that of an alias includes the body.
    pub(super) exact: Bytes,
    /// An inline body.
    pub(super) body: Option<Bytes>,
}

impl Record {
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

    /// The response in it. `key` is what it was looked up by, if it was.
    pub(super) fn response(&self, key: Option<&CacheKey>) -> Row<StoredResponse> {
        self.own(row::response(&self.exact, self.body.clone(), key), |response| &response.head)
    }

    /// The alias in it.
    pub(super) fn alias(&self, key: Option<&CacheKey>) -> Row<Alias> {
        self.own(row::alias(&self.exact, key), |alias| &alias.response.head)
    }

    /// The response's head alone.
    pub(super) fn head(&self) -> Option<StoredHead> {
        self.own(row::head(&self.exact, None), |head| head).found()
    }

    /// What belongs to another document is garbage in this one: somebody copied it.
    fn own<T>(&self, row: Row<T>, head: impl FnOnce(&T) -> &StoredHead) -> Row<T> {
        match row {
            Row::Found(found) if !self.is_of(head(&found)) => Row::Garbage,
            row => row,
        }
    }

    fn is_of(&self, head: &StoredHead) -> bool {
        EntryId::parse(&self.entry) == Some(head.id) && head.key.hex_digest() == self.key
    }
}
