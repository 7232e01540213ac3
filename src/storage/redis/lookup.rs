//! What a lookup finds.

use std::sync::Arc;

use redis::{RedisError, RedisResult, Value};

use super::batch::Reply;
use super::layout::{Record, Variant};
use super::marks::Marks;
use super::{Shared, fence};
use crate::key::CacheKey;
use crate::storage::kit::Row;
use crate::storage::{Lookup, StorageError, StorageErrorKind};

impl Shared {
    pub(super) async fn lookup(self: &Arc<Self>, key: &CacheKey) -> Result<Lookup, StorageError> {
        let action = "looking up";
        let Reply { record, marks } = self.read(key).await;
        let record = unless_foreign(record).map_err(|cause| self.link.error(action, cause))?;
        let marks = marks.as_ref().as_ref().map_err(|cause| self.link.error(action, cause.clone()))?;
        let Some(marks) = Marks::from_reply(marks, &self.names)? else { return self.first_lookup().await };
        let record = Record::from_reply(record);
        let as_of = marks.invalidations;
        let mut found = Lookup { fence: fence::fence(&marks, &record.fence), as_of, ..Lookup::default() };
        let mut garbage = record.garbage > 0;
        for variant in record.variants.iter().filter(|variant| variant.meta.generation == marks.responses) {
            match variant.response(key) {
                Row::Found(response) => found.responses.push(response),
                Row::OtherVersion => {}
                Row::Garbage => garbage = true,
            }
        }
        let mut alias = None;
        match record.alias(marks.aliases, Some(key)) {
            Some(Row::Found(stored)) => alias = Some(stored),
            None | Some(Row::OtherVersion) => {}
            Some(Row::Garbage) => garbage = true,
        }
        self.mark_invalidated(&marks, &mut found.responses, alias.as_mut()).await?;
        found.alias = alias.map(Arc::new);
        if garbage {
            self.remove_garbage(key, &record, &marks).await;
        }
        Ok(found)
    }

    /// Makes the marks. Who may not write looks up nothing, and stores nothing.
    async fn first_lookup(&self) -> Result<Lookup, StorageError> {
        let (fence, as_of) = match self.marks_made("looking up").await {
            Ok(marks) => (fence::fence(&marks, &[]), marks.invalidations),
            Err(refused) if refused.kind() == StorageErrorKind::Incompatible => return Err(refused),
            Err(_) => (fence::NEVER, 0),
        };
        Ok(Lookup { fence, as_of, ..Lookup::default() })
    }

    /// Entries that do not decode only take room. Where they cannot be removed they are skipped again.
    async fn remove_garbage(&self, key: &CacheKey, record: &Record, marks: &Marks) {
        let is_garbage = |variant: &&Variant| matches!(variant.response(key), Row::Garbage);
        let mut ids: Vec<_> =
            record.variants.iter().filter(is_garbage).map(|variant| variant.meta.id).collect();
        if let Some(Row::Garbage) = record.alias(marks.aliases, Some(key)) {
            ids.extend(record.alias_meta().map(|meta| meta.id));
        }
        let name = self.names.record(key);
        for id in ids {
            if self.remove_entry(&name, id).await.is_err() {
                return;
            }
        }
    }
}

/// A key that does not hold a hash was not written by this crate.
fn unless_foreign(reply: RedisResult<Value>) -> RedisResult<Value> {
    match reply {
        Err(cause) if is_foreign(&cause) => Ok(Value::Nil),
        reply => reply,
    }
}

fn is_foreign(cause: &RedisError) -> bool {
    cause.code() == Some("WRONGTYPE")
}
