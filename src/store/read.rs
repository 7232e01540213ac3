//! Reading from the storage: lookups and bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::pending::Pending;
use super::{Shared, Store};
use crate::entry::StoredHead;
use crate::key::CacheKey;
use crate::storage::{AnyReader, Lookup, StorageError};

/// How much longer than the deadline one waits for a publication.
const SETTLING: Duration = Duration::from_millis(50);

impl Store {
    /// What is stored under a key, after publications under it are over. The error says in a few words why nothing is
    /// found: the storage failed or took too long, now or a moment ago.
    pub(crate) async fn lookup(&self, key: &CacheKey) -> Result<Lookup, &'static str> {
        let Shared { health, publishing, .. } = &*self.shared;
        if !health.reads.allows() {
            return Err("storage left alone");
        }
        if !publishing.is_idle() {
            // A publication that hangs must not block the lookups that wait for it. They then find what is stored without
            // it. They wait a little longer than the deadline of one operation, to see its result.
            let limit = self.deadline.saturating_add(SETTLING);
            let _ = Box::pin(tokio::time::timeout(limit, publishing.settled(key))).await;
        }
        self.lookup_unsettled(key).await
    }

    /// What is stored under a key at this moment, for a task that publishes under it itself.
    pub(crate) async fn lookup_unsettled(&self, key: &CacheKey) -> Result<Lookup, &'static str> {
        let Shared { health, pending, .. } = &*self.shared;
        let found = self.within("lookup", self.storage.lookup(key)).await;
        health.heard(&health.reads, &found);
        let mut found = found.map_err(|error| error.kind().as_str())?;
        self.has_counted(found.as_of);
        if !pending.is_empty() {
            mark_pending(pending, &mut found);
            // The task that did may have ended with its runtime.
            self.retry();
        }
        Ok(found)
    }

    pub(crate) async fn open(&self, head: &StoredHead) -> Result<AnyReader, StorageError> {
        let opened = self.within("opening a body", self.storage.open(head)).await;
        self.heard_reading(&opened);
        opened
    }

    pub(crate) async fn read(&self, reader: &mut AnyReader) -> Result<Option<Bytes>, StorageError> {
        let read = self.within("reading a body", Box::pin(reader.next())).await;
        self.heard_reading(&read);
        read
    }

    /// Records failures only: a body that can be read does not prove that lookups work.
    fn heard_reading<T>(&self, result: &Result<T, StorageError>) {
        if result.is_err() {
            self.shared.health.heard(&self.shared.health.reads, result);
        }
    }
}

fn mark_pending(pending: &Pending, found: &mut Lookup) {
    for response in &mut found.responses {
        response.invalidated |= pending.cover(&response.head);
    }
    if let Some(alias) = &mut found.alias
        && pending.cover(&alias.response.head)
    {
        Arc::make_mut(alias).response.invalidated = true;
    }
}
