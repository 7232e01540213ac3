//! Finding: everything under a key in one trip.

use std::sync::Arc;

use mongodb::bson::{Bson, doc};

use super::found::{Fields, Found, Row};
use super::layout::entry_id;
use super::store::Store;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse, usual_groups};
use crate::key::CacheKey;
use crate::storage::{Fence, Lookup, StorageError};

pub(super) const DOING: &str = "looking up";

/// A document that holds a stored response or alias, decoded.
pub(super) enum Decoded {
    Response(StoredResponse),
    Alias(Alias),
    /// Written by another version of the exact form: to be left alone.
    OtherVersion,
    /// Not what was written.
    Garbage,
}

impl Store {
    pub(crate) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        // What is stored under a key nearly always has the target that the key was made of.
        let usual: Vec<_> = key.uri().map(usual_groups).into_iter().flatten().collect();
        let found = self.under_with_slots(DOING, &key.hex_digest(), &usual, Fields::All, None).await?;
        let Found { namespace, rows, mut slots, .. } = found;
        slots.asked.extend(usual);
        let (fence, as_of) = (namespace.clock.unsigned_abs(), namespace.invalidations.unsigned_abs());
        let mut lookup = Lookup { fence: Fence(fence), as_of, ..Lookup::default() };
        let mut alias = None;
        let mut garbage = Vec::new();
        for row in rows {
            match row.decode() {
                Decoded::Response(response) if response.head.key == *key => lookup.responses.push(response),
                Decoded::Alias(found) if found.response.head.key == *key => alias = Some(found),
                Decoded::OtherVersion => {}
                _ => garbage.push(row),
            }
        }
        let found = lookup.responses.iter_mut().chain(alias.as_mut().map(|alias| &mut alias.response));
        self.mark_invalidated(found.collect(), as_of, slots).await?;
        lookup.alias = alias.map(Arc::new);
        self.drop_garbage(&garbage).await;
        Ok(lookup)
    }

    /// What cannot be read is in the way of what could be stored there.
    async fn drop_garbage(&self, rows: &[Row]) {
        for row in rows {
            let published = row.published.map_or(Bson::Null, Bson::Timestamp);
            let same = doc! { "_id": row.object, "published": published };
            // A lookup does not fail for the sake of a broom: the next one tries again.
            if self.call("removing garbage", self.heads.delete_one(same)).await.is_ok() {
                self.delete_bodies(std::slice::from_ref(&row.entry)).await.ok();
            }
        }
    }
}

impl Row {
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

    /// A document copied under another key, or with another's head, is not what was written.
    fn is_of(&self, head: &StoredHead) -> bool {
        entry_id(&self.entry) == Some(head.id) && head.key.hex_digest() == self.key
    }
}
