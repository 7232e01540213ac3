//! Finding: everything under a key in one trip.

use std::sync::Arc;

use mongodb::bson::{Bson, DateTime, doc};

use super::document::{entry_id, group_digest};
use super::rows::{Found, Part, Row, kind};
use super::store::Store;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, BodySummary, Group, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::storage::{Fence, Lookup, StorageError};

const DOING: &str = "looking up";

/// A document that holds a stored response or alias, decoded.
pub(super) enum Decoded {
    Response(StoredResponse),
    Alias(Alias),
    /// Written by a later version: to be left alone.
    Newer,
    /// Not what was written.
    Garbage,
}

impl Store {
    pub(crate) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let found = self.under(DOING, &key.hex_digest(), Part::Whole, None).await?;
        let Found { namespace, rows, .. } = found;
        let mut lookup = Lookup { fence: Fence(namespace.clock.unsigned_abs()), ..Lookup::default() };
        let mut alias = None;
        let mut garbage = Vec::new();
        for row in rows {
            match row.decode() {
                Decoded::Response(response) if response.head.key == *key => lookup.responses.push(response),
                Decoded::Alias(found) if found.response.head.key == *key => alias = Some(found),
                Decoded::Newer => {}
                _ => garbage.push(row),
            }
        }
        self.mark_invalidated(&mut lookup.responses, &mut alias, namespace.groups_invalidated).await?;
        lookup.alias = alias.map(Arc::new);
        self.drop_garbage(&garbage).await;
        Ok(lookup)
    }

    /// Asks for the groups' documents only where an answer can matter, so that a usual hit costs one trip.
    async fn mark_invalidated(
        &self,
        responses: &mut [StoredResponse],
        alias: &mut Option<Alias>,
        latest: Option<i64>,
    ) -> Result<(), StorageError> {
        let Some(latest) = latest else { return Ok(()) };
        let mut members: Vec<_> = responses
            .iter_mut()
            .chain(alias.iter_mut().map(|alias| &mut alias.response))
            .filter(|found| !found.head.groups.is_empty() && found.head.response_time.as_millis() <= latest)
            .collect();
        if members.is_empty() {
            return Ok(());
        }
        let digests: Vec<_> = members.iter().flat_map(|found| &found.head.groups).map(group_digest).collect();
        let asked = doc! { "key": { "$in": digests }, "kind": kind::GROUP };
        let mut invalidated = Vec::new();
        let reading = async {
            let mut cursor = self.heads.find(asked).projection(doc! { "key": 1, "at": 1 }).await?;
            while cursor.advance().await? {
                let found = cursor.current();
                if let (Ok(digest), Ok(at)) = (found.get_str("key"), found.get_datetime("at")) {
                    invalidated.push((digest.to_owned(), at.timestamp_millis()));
                }
            }
            Ok(())
        };
        self.call(DOING, reading).await?;
        for member in &mut members {
            let at = member.head.response_time.as_millis();
            let hit = |group: &Group| {
                let digest = group_digest(group);
                invalidated.iter().any(|(found, since)| *found == digest && at <= *since)
            };
            member.invalidated = member.head.groups.iter().any(hit);
        }
        Ok(())
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

    pub(crate) async fn invalidate_group(&self, group: &Group, at: i64) -> Result<(), StorageError> {
        self.ready().await?;
        let doing = "invalidating a group";
        let at = DateTime::from_millis(at);
        let update = doc! {
            "$max": { "at": at },
            "$setOnInsert": { "kind": kind::GROUP, "origin": &group.origin, "name": &group.name },
        };
        self.upsert(doing, doc! { "key": group_digest(group), "variant": kind::GROUP }, update).await?;
        self.raise("groups_invalidated", at).await
    }
}

impl Row {
    pub(super) fn decode(&self) -> Decoded {
        let decoded = if self.is_alias { self.decode_alias() } else { self.decode_response() };
        match decoded {
            Ok(Some(decoded)) => decoded,
            Err(DecodeError::Version(_)) => Decoded::Newer,
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
