//! The namespace's document: the version of the layout, the clock of removals, and the count of invalidations.

use std::future::IntoFuture;

use mongodb::bson::{Bson, DateTime, RawDocument, doc};
use mongodb::options::ReturnDocument;

use super::error::is_duplicate;
use super::layout::{INVALIDATIONS, KINDS, NAMESPACE, SCHEMA, kind};
use super::store::{Store, primary};
use crate::storage::{StorageError, StorageErrorKind};

/// The state of the cache as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namespace {
    /// Counts removals and clearings. Its value at a lookup is the fence.
    pub(super) clock: i64,
    /// Responses with a lower fence were cleared.
    pub(super) responses_cleared: i64,
    /// Aliases with a lower fence were cleared.
    pub(super) aliases_cleared: i64,
    /// Removals up to here have no document any more: every publication with a lower fence is refused.
    pub(super) floor: i64,
    /// Counts invalidations of groups.
    pub(super) invalidations: i64,
}

impl Store {
    /// Makes sure, once, that the namespace's document and the indexes exist.
    pub(super) async fn ready(&self) -> Result<(), StorageError> {
        let recent = |kind, message: &str| self.error(kind, format!("{message} (a moment ago)"));
        self.opening.once(self.prepare(), recent).await
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        let found = self
            .call("opening", self.heads.find_one(doc! { "key": NAMESPACE }).selection_criteria(primary()))
            .await?;
        if let Some(found) = found {
            self.check_schema(number(found.get("schema")))?;
            if number(found.get("delete_after")) != self.delete_after() {
                self.follow_ttl().await?;
            }
            return Ok(());
        }
        let foreign = doc! { "kind": { "$nin": &KINDS[..] } };
        let foreign =
            self.heads.find_one(foreign).projection(doc! { "_id": 1 }).selection_criteria(primary());
        if self.call("opening", foreign).await?.is_some() {
            let what =
                "opening: the collection holds documents of another program; choose another collection";
            return Err(self.error(StorageErrorKind::Incompatible, what));
        }
        self.create_indexes().await?;
        self.create_namespace().await
    }

    /// A collection with another schema is not touched.
    pub(super) fn check_schema(&self, schema: Option<i64>) -> Result<(), StorageError> {
        match schema {
            Some(SCHEMA) => Ok(()),
            other => {
                let found =
                    other.map_or_else(|| "an unknown layout".to_owned(), |other| format!("layout {other}"));
                Err(self.error(
                    StorageErrorKind::Incompatible,
                    format!("the collection has {found}, and this version reads layout {SCHEMA}; choose another collection"),
                ))
            }
        }
    }

    async fn create_namespace(&self) -> Result<(), StorageError> {
        // Higher than every fence and every invalidation of a namespace that was dropped here before.
        let clock = DateTime::now().timestamp_millis().saturating_mul(1000);
        let namespace = doc! { "$setOnInsert": {
            "kind": kind::NAMESPACE,
            "schema": SCHEMA,
            "clock": clock,
            "responses_cleared": clock,
            "aliases_cleared": clock,
            "floor": clock,
            INVALIDATIONS: clock,
            "created": DateTime::now(),
            "delete_after": self.delete_after(),
        } };
        let doing = "creating the cache";
        let insert = self.heads.update_one(doc! { "key": NAMESPACE, "variant": "" }, namespace).upsert(true);
        match self.in_time(doing, insert.into_future()).await? {
            Err(error) if is_duplicate(&error) => Ok(()),
            Err(error) => Err(self.failure(doing, error)),
            Ok(_) => Ok(()),
        }
    }

    /// Increments one of the namespace's two counts, sets these fields to the new value too, and returns it.
    pub(super) async fn tick(&self, doing: &str, count: &str, too: &[&str]) -> Result<i64, StorageError> {
        self.ready().await?;
        if let Some(counted) = self.try_tick(doing, count, too).await? {
            return Ok(counted);
        }
        self.opening.forget();
        self.ready().await?;
        self.try_tick(doing, count, too).await?.ok_or_else(|| self.lost(doing))
    }

    async fn try_tick(&self, doing: &str, count: &str, too: &[&str]) -> Result<Option<i64>, StorageError> {
        let next = doc! { "$add": [format!("${count}"), 1_i64] };
        let mut set = doc! { count: next.clone() };
        for field in too {
            set.insert(*field, next.clone());
        }
        let counted = self
            .heads
            .find_one_and_update(doc! { "key": NAMESPACE, "schema": SCHEMA }, vec![doc! { "$set": set }])
            .projection(doc! { count: 1 })
            .return_document(ReturnDocument::After);
        Ok(self.call(doing, counted).await?.and_then(|found| number(found.get(count))))
    }

    /// Raises one of the namespace's numbers; it is never lowered.
    pub(super) async fn raise(&self, field: &str, value: impl Into<Bson>) -> Result<(), StorageError> {
        let raise = doc! { "$max": { field: value.into() } };
        self.call(
            "updating the namespace's document",
            self.heads.update_one(doc! { "key": NAMESPACE }, raise),
        )
        .await
        .map(drop)
    }

    /// The error of a call that did not find the namespace's document. The next call creates it.
    pub(super) fn lost(&self, doing: &str) -> StorageError {
        self.opening.forget();
        self.error(
            StorageErrorKind::Unavailable,
            format!("{doing}: the namespace's document is gone; the next call creates it"),
        )
    }
}

impl Namespace {
    /// Reads the namespace's document; `None` where a number is missing.
    pub(super) fn read(found: &RawDocument) -> Option<Self> {
        Some(Self {
            clock: found.get_i64("clock").ok()?,
            responses_cleared: found.get_i64("responses_cleared").ok()?,
            aliases_cleared: found.get_i64("aliases_cleared").ok()?,
            floor: found.get_i64("floor").ok()?,
            invalidations: found.get_i64(INVALIDATIONS).ok()?,
        })
    }

    /// Documents with a lower fence were cleared.
    pub(super) const fn cleared(&self, is_alias: bool) -> i64 {
        if is_alias { self.aliases_cleared } else { self.responses_cleared }
    }
}

fn number(value: Option<&Bson>) -> Option<i64> {
    value.and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from)))
}
