//! Bodies in chunks, in the layout of GridFS.

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{self, Bson, DateTime, Document, doc};

use super::layout::{binary, date, number};
use super::store::{Store, primary};
use crate::clock::Timestamp;
use crate::entry::StoredHead;
use crate::storage::kit::Chunk;
use crate::storage::{StorageError, StorageErrorKind};

/// About how many bytes of chunks one round trip reads.
const READ_AT_ONCE: usize = 1024 * 1024;

impl Store {
    /// The document of one chunk. Fields that GridFS does not know are beside its own; its tools ignore them.
    ///
    /// GridFS counts chunks in 32 bits: a body with more of them is too large.
    pub(super) fn chunk(
        &self,
        entry: &str,
        chunk: Chunk,
        usable_until: Timestamp,
    ) -> Result<Document, StorageError> {
        let n = i32::try_from(chunk.number)
            .map_err(|_| self.error(StorageErrorKind::TooLarge, "storing a body: too many chunks"))?;
        Ok(doc! {
            "_id": ObjectId::new(),
            "files_id": entry,
            "n": n,
            "sum": chunk.checksum.cast_signed(),
            // The server replaces this with its own time.
            "stored": bson::Timestamp { time: 0, increment: 0 },
            "data": binary(chunk.data.into()),
            "usable_until": date(usable_until.as_millis()),
            "cache": &self.options.collection,
        })
    }

    pub(super) async fn insert_chunks(&self, chunks: &[Document]) -> Result<(), StorageError> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.ready().await?;
        self.call("storing a body", self.chunks.insert_many(chunks).ordered(false)).await.map(drop)
    }

    /// Makes the chunks a GridFS file, in a storage that keeps bodies as files.
    pub(super) async fn insert_file(&self, head: &StoredHead) -> Result<(), StorageError> {
        let Some(files) = &self.files else { return Ok(()) };
        let content_type = head.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let file = doc! {
            "_id": head.id.to_string(),
            "length": number(head.body_len()),
            "chunkSize": i32::try_from(self.options.chunk_size).unwrap_or(i32::MAX),
            "uploadDate": DateTime::now(),
            "filename": &head.uri,
            "metadata": {
                "cache": &self.options.collection,
                "key": head.key.hex_digest(),
                "content_type": content_type.map_or(Bson::Null, Bson::from),
                "usable_until": date(head.usable_until.as_millis()),
            },
        };
        self.call("storing a file", files.insert_one(file)).await.map(drop)
    }

    /// Some chunks from number `from` on, without a gap, each with its checksum. None where the first is not there.
    pub(super) async fn read_chunks(
        &self,
        entry: &str,
        from: u64,
    ) -> Result<Vec<(Option<u64>, Bytes)>, StorageError> {
        let Ok(from) = i32::try_from(from) else { return Ok(Vec::new()) };
        let at_once = i64::try_from(READ_AT_ONCE / self.options.chunk_size).unwrap_or(1).max(1);
        let asked = doc! { "files_id": entry, "n": { "$gte": from } };
        let mut chunks = Vec::new();
        let mut expected = from..;
        let reading = async {
            // Each read has a cursor of its own: none stays open on the server while a reader is slow.
            let find = self.chunks.find(asked).sort(doc! { "n": 1 }).limit(at_once);
            let mut cursor = find.projection(doc! { "n": 1, "data": 1, "sum": 1 }).await?;
            while cursor.advance().await? {
                let found = cursor.current();
                if found.get_i32("n").ok() != expected.next() {
                    break;
                }
                let checksum = found.get_i64("sum").ok().map(i64::cast_unsigned);
                let data = found.get_binary("data").map(|data| Bytes::copy_from_slice(data.bytes));
                chunks.push((checksum, data.unwrap_or_default()));
            }
            Ok(())
        };
        self.call("reading a body", reading).await?;
        Ok(chunks)
    }

    /// How many chunks of a body are stored.
    pub(super) async fn count_chunks(&self, entry: &str) -> Result<u64, StorageError> {
        let count = self.chunks.count_documents(doc! { "files_id": entry }).selection_criteria(primary());
        self.call("counting chunks", count).await
    }

    /// A body that is in its document, read alone.
    pub(super) async fn read_inline(&self, head: &StoredHead) -> Result<Option<Bytes>, StorageError> {
        let entry = doc! { "key": head.key.hex_digest(), "entry": head.id.to_string() };
        let found = self.heads.find_one(entry).projection(doc! { "body": 1 });
        let found = self.call("reading a body", found).await?;
        Ok(found.and_then(|mut found| match found.remove("body") {
            Some(Bson::Binary(body)) => Some(Bytes::from(body.bytes)),
            _ => None,
        }))
    }

    /// Deletes the chunks of these bodies. Inline bodies are deleted with their documents.
    pub(super) async fn delete_bodies(&self, entries: &[String]) -> Result<u64, StorageError> {
        if entries.is_empty() {
            return Ok(0);
        }
        let doing = "deleting bodies";
        if let Some(files) = &self.files {
            let mine = doc! { "_id": { "$in": entries }, "metadata.cache": &self.options.collection };
            self.call(doing, files.delete_many(mine)).await?;
        }
        let chunks = self.chunks.delete_many(doc! { "files_id": { "$in": entries } });
        self.call(doing, chunks).await.map(|deleted| deleted.deleted_count)
    }

    /// Moves the time when the server deletes a body; it is never moved back.
    pub(super) async fn keep_body_until(&self, entry: &str, until: Timestamp) -> Result<(), StorageError> {
        let doing = "keeping a body";
        let until = date(until.as_millis());
        let shorter = doc! { "files_id": entry, "usable_until": { "$lt": until } };
        let set = doc! { "$set": { "usable_until": until } };
        self.call(doing, self.chunks.update_many(shorter, set)).await?;
        if let Some(files) = &self.files {
            let set = doc! { "$set": { "metadata.usable_until": until } };
            self.call(doing, files.update_one(doc! { "_id": entry }, set)).await?;
        }
        Ok(())
    }
}
