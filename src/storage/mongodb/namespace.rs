//! The cache's own document: the version of the layout, the clock of removals, and the indexes it vouches for.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, DateTime, Document, RawDocument, doc};
use mongodb::error::Error;
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::{Collection, IndexModel};
use tokio::sync::Mutex;

use super::error::{is_duplicate, is_other_index};
use super::found::{KINDS, kind};
use super::store::{Store, primary};
use crate::storage::{StorageError, StorageErrorKind};

/// The version of the layout: the only one that is read and written.
const SCHEMA: i64 = 2;
/// Stands in `key` where response have the digest of theirs.
pub(super) const NAMESPACE: &str = "namespace";
/// The namespace's field that counts removals and clearings.
pub(super) const CLOCK: &str = "clock";
/// The namespace's field that counts invalidations of groups.
pub(super) const INVALIDATIONS: &str = "invalidations";
/// A server that is down is not asked again by everyone who waits.
const FAILED_FOR: Duration = Duration::from_secs(1);
const TTL_INDEX: &str = "usable_until";

/// The state of the cache as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namespace {
    /// Counts removals and clearings. What a lookup saw of it is its fence.
    pub(super) clock: i64,
    /// Responses with a lower fence were cleared.
    pub(super) responses_cleared: i64,
    /// Aliases with a lower fence were cleared.
    pub(super) aliases_cleared: i64,
    /// Removals up to here are no longer remembered one by one: whatever wants to publish with a lower fence is refused.
    pub(super) floor: i64,
    /// Counts invalidations of groups.
    pub(super) invalidations: i64,
}

/// Whether the layout has been made sure of.
#[derive(Debug, Default)]
pub(super) struct Opening(Mutex<State>, std::sync::atomic::AtomicBool);

#[derive(Debug, Default)]
struct State {
    failed: Option<(Instant, StorageErrorKind, String)>,
}

impl Store {
    /// Makes sure, once, that the cache's document and indexes are there.
    pub(super) async fn ready(&self) -> Result<(), StorageError> {
        let Opening(state, done) = &self.opening;
        if done.load(std::sync::atomic::Ordering::Acquire) {
            return Ok(());
        }
        let mut state = state.lock().await;
        if done.load(std::sync::atomic::Ordering::Acquire) {
            return Ok(());
        }
        if let Some((at, kind, message)) = &state.failed
            && at.elapsed() < FAILED_FOR
        {
            return Err(self.error(*kind, format!("{message} (a moment ago)")));
        }
        match self.prepare().await {
            Ok(()) => {
                state.failed = None;
                done.store(true, std::sync::atomic::Ordering::Release);
                Ok(())
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    /// Someone dropped the collection or the database: everything is to be made anew.
    pub(super) fn forget_opening(&self) {
        self.opening.1.store(false, std::sync::atomic::Ordering::Release);
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
                "opening: the collection holds documents that are not a cache's; choose another collection";
            return Err(self.error(StorageErrorKind::Incompatible, what));
        }
        self.create_indexes().await?;
        self.create_namespace().await
    }

    /// Another schema is left untouched.
    pub(super) fn check_schema(&self, schema: Option<i64>) -> Result<(), StorageError> {
        match schema {
            Some(SCHEMA) => Ok(()),
            other => {
                let found =
                    other.map_or_else(|| "an unknown layout".to_owned(), |other| format!("layout {other}"));
                Err(self.error(
                    StorageErrorKind::Incompatible,
                    format!("{found}, where {SCHEMA} is understood: update, or choose another collection"),
                ))
            }
        }
    }

    async fn create_namespace(&self) -> Result<(), StorageError> {
        // Later than every fence and every invalidation of a namespace that stood here before and was dropped.
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

    async fn create_indexes(&self) -> Result<(), StorageError> {
        let doing = "creating indexes (the role readWrite allows it)";
        let unique = || IndexOptions::builder().unique(true).build();
        let index = |keys: Document| IndexModel::builder().keys(keys).build();
        let heads = [
            IndexModel::builder().keys(doc! { "key": 1, "variant": 1 }).options(unique()).build(),
            index(doc! { "kind": 1, "_id": 1, "bytes": 1 }),
            index(doc! { "url": 1 }),
            index(doc! { "groups": 1 }),
            index(doc! { "entry": 1 }),
        ];
        self.call(doing, self.heads.create_indexes(heads)).await?;
        // A bucket that others use already has this one, unique or, made by this very driver, not.
        let in_order = IndexModel::builder().keys(doc! { "files_id": 1, "n": 1 }).options(unique()).build();
        match self.in_time(doing, self.chunks.create_index(in_order).into_future()).await? {
            Err(error) if !is_other_index(&error) => return Err(self.failure(doing, error)),
            _ => {}
        }
        let of_cache = index(doc! { "cache": 1, "files_id": 1 });
        self.call(doing, self.chunks.create_index(of_cache)).await?;
        if let Some(files) = &self.files {
            self.call(doing, files.create_index(index(doc! { "filename": 1, "uploadDate": 1 }))).await?;
        }
        self.set_ttl_indexes().await
    }

    /// The one who opened last decides how the server deletes. A user who may not, leaves it as it is.
    async fn follow_ttl(&self) -> Result<(), StorageError> {
        let followed = async {
            self.set_ttl_indexes().await?;
            let set = doc! { "$set": { "delete_after": self.delete_after() } };
            self.call("changing the TTL", self.heads.update_one(doc! { "key": NAMESPACE }, set)).await
        };
        match followed.await {
            Err(error) if error.kind() != StorageErrorKind::Denied => Err(error),
            _ => Ok(()),
        }
    }

    async fn set_ttl_indexes(&self) -> Result<(), StorageError> {
        self.set_ttl_index(&self.heads, "usable_until").await?;
        self.set_ttl_index(&self.chunks, "usable_until").await?;
        if let Some(files) = &self.files {
            self.set_ttl_index(files, "metadata.usable_until").await?;
        }
        Ok(())
    }

    async fn set_ttl_index(
        &self,
        collection: &Collection<Document>,
        field: &str,
    ) -> Result<(), StorageError> {
        let doing = "creating the TTL index";
        let mut options = IndexOptions::builder().name(TTL_INDEX.to_owned()).build();
        options.expire_after = self.settings.delete_after();
        let index = IndexModel::builder().keys(doc! { field: 1 }).options(options).build();
        match self.in_time(doing, collection.create_index(index.clone()).into_future()).await? {
            Err(error) if is_other_index(&error) => {
                self.call(doing, collection.drop_index(TTL_INDEX)).await?;
                self.call(doing, collection.create_index(index)).await.map(drop)
            }
            Err(error) => Err(self.failure(doing, error)),
            Ok(_) => Ok(()),
        }
    }

    fn delete_after(&self) -> Option<i64> {
        self.settings.delete_after().and_then(|margin| i64::try_from(margin.as_secs()).ok())
    }

    /// Moves one of the namespace's two counts on, sets these fields to its new value, and gives it.
    pub(super) async fn tick(&self, doing: &str, count: &str, too: &[&str]) -> Result<i64, StorageError> {
        self.ready().await?;
        if let Some(counted) = self.try_tick(doing, count, too).await? {
            return Ok(counted);
        }
        self.forget_opening();
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

    /// Raises one of the namespace's numbers or times.
    pub(super) async fn raise(&self, field: &str, value: impl Into<Bson>) -> Result<(), StorageError> {
        let raise = doc! { "$max": { field: value.into() } };
        self.call("updating the cache's document", self.heads.update_one(doc! { "key": NAMESPACE }, raise))
            .await
            .map(drop)
    }

    /// The cache's document is gone, or has become another version's.
    pub(super) fn lost(&self, doing: &str) -> StorageError {
        self.forget_opening();
        self.error(
            StorageErrorKind::Unavailable,
            format!("{doing}: the cache's document is gone; it is made anew with the next call"),
        )
    }
}

impl Namespace {
    /// Reads the document of the cache; `None` when it is none.
    pub(super) fn read(found: &RawDocument) -> Option<Self> {
        Some(Self {
            clock: found.get_i64("clock").ok()?,
            responses_cleared: found.get_i64("responses_cleared").ok()?,
            aliases_cleared: found.get_i64("aliases_cleared").ok()?,
            floor: found.get_i64("floor").ok()?,
            invalidations: found.get_i64(INVALIDATIONS).ok()?,
        })
    }
}

fn number(value: Option<&Bson>) -> Option<i64> {
    value.and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from)))
}

/// An error that stands for "someone else was faster".
pub(super) fn lost_race<T>(result: &Result<T, Error>) -> bool {
    result.as_ref().is_err_and(is_duplicate)
}
