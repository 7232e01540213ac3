//! The indexes, the TTL indexes among them. The namespace's document is written after them.

use std::future::IntoFuture;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

use super::error::is_other_index;
use super::layout::NAMESPACE;
use super::store::Store;
use crate::storage::{StorageError, StorageErrorKind};

const TTL_INDEX: &str = "usable_until";

impl Store {
    pub(super) async fn create_indexes(&self) -> Result<(), StorageError> {
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
        // A bucket that other programs use has this index already. The Rust driver creates it without `unique`.
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

    /// The cache that opened the collection last decides how the server deletes. A user without the right changes nothing.
    pub(super) async fn follow_ttl(&self) -> Result<(), StorageError> {
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
        options.expire_after = self.options.delete_after();
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

    pub(super) fn delete_after(&self) -> Option<i64> {
        self.options.delete_after().and_then(|margin| i64::try_from(margin.as_secs()).ok())
    }
}
