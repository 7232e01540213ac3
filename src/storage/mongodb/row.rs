//! A stored response or alias as it is in its document, and what it decodes to.

use std::sync::Arc;

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{RawDocument, Timestamp};

use super::layout::{entry_id, kind};
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};

/// A stored response or alias as it is in its document.
#[derive(Clone, Debug)]
pub(super) struct Row {
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

/// A document that holds a stored response or alias, decoded.
pub(super) enum Decoded {
    Response(StoredResponse),
    Alias(Alias),
    /// Written by another version of the exact form: a miss, and not removed.
    OtherVersion,
    /// Not what was written.
    Garbage,
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

    pub(super) fn decode(&self) -> Decoded {
        let decoded = if self.is_alias { self.decode_alias() } else { self.decode_response() };
        match decoded {
            Ok(Some(decoded)) => decoded,
            Err(DecodeError::Version(_)) => Decoded::OtherVersion,
            Ok(None) | Err(_) => Decoded::Garbage,
        }
    }

    /// The head alone, for a listing.
    pub(super) fn decode_head(&self) -> Option<StoredHead> {
        let head = codec::decode(&self.exact).ok()?;
        self.is_of(&head).then_some(head)
    }

    fn decode_alias(&self) -> Result<Option<Decoded>, DecodeError> {
        let alias = codec::decode_alias(&self.exact)?;
        Ok(self.is_of(&alias.response.head).then_some(Decoded::Alias(alias)))
    }

    fn decode_response(&self) -> Result<Option<Decoded>, DecodeError> {
        let head = codec::decode(&self.exact)?;
        let body = match &self.body {
            None => StoredBody::Streamed,
            Some(body) if head.body == Some(BodySummary::of(body)) => StoredBody::Inline(body.clone()),
            Some(_) => return Ok(None),
        };
        let sound = self.is_of(&head) && head.body.is_some();
        let response = StoredResponse { head: Arc::new(head), body, invalidated: false };
        Ok(sound.then_some(Decoded::Response(response)))
    }

    /// Whether the head belongs to this document. One that was copied to another key does not.
    fn is_of(&self, head: &StoredHead) -> bool {
        entry_id(&self.entry) == Some(head.id) && head.key.hex_digest() == self.key
    }
}
