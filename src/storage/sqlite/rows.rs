//! A row of each keyspace: its number, its head, its body, and the rows under one key.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::error::Fault;
use super::layout::hash;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::storage::Keyspace;

pub(super) const BOTH: [Keyspace; 2] = [Keyspace::Responses, Keyspace::Aliases];

/// A row of one of the keyspaces; the sign of an entry's mark, see the table `used`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    Response(i64),
    Redirect(i64),
}

impl Entry {
    pub(super) const fn mark(self) -> i64 {
        match self {
            Self::Response(entry) => entry,
            Self::Redirect(entry) => -entry,
        }
    }
}

/// Where the body of a row can be.
pub(super) enum StoredAs {
    /// In the row, or in the chunks that column 2 names.
    Either,
    /// In the row.
    Inline,
}

/// The response in the columns 2 to 4 of a row.
pub(super) fn response(row: &Row<'_>, place: StoredAs) -> Result<StoredResponse, DecodeError> {
    let head = head(row, 3)?;
    let chunked = matches!((place, row.get_ref(2)), (StoredAs::Either, Ok(ValueRef::Integer(_))));
    let body = if chunked {
        StoredBody::Streamed
    } else {
        StoredBody::Inline(inline(row, 4, &head).ok_or(DecodeError::Corrupt)?)
    };
    Ok(StoredResponse { head: Arc::new(head), body, invalidated: false })
}

pub(super) fn alias(row: &Row<'_>) -> Result<Alias, DecodeError> {
    let response = response(row, StoredAs::Inline)?;
    let target = CacheKey::from_canonical(blob(row, 2)?).ok_or(DecodeError::Corrupt)?;
    Ok(Alias { response, target })
}

pub(super) fn head(row: &Row<'_>, column: usize) -> Result<StoredHead, DecodeError> {
    codec::decode(&blob(row, column)?)
}

fn blob(row: &Row<'_>, column: usize) -> Result<Bytes, DecodeError> {
    let blob = row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
    blob.map(Bytes::copy_from_slice).ok_or(DecodeError::Corrupt)
}

/// A body in its head's row, verified.
pub(super) fn inline(row: &Row<'_>, column: usize, head: &StoredHead) -> Option<Bytes> {
    let body = match row.get_ref(column).ok()? {
        ValueRef::Null => Bytes::new(),
        body => Bytes::copy_from_slice(body.as_blob().ok()?),
    };
    (head.body == Some(BodySummary::of(&body))).then_some(body)
}

/// A row under a key and its head, or why there is none.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) entry: Entry,
    pub(super) head: Result<StoredHead, DecodeError>,
}

impl KeyRow {
    /// Whether another version of the format wrote it, perhaps under another key: it stays.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.head, Err(DecodeError::Version(_)))
    }
}

/// The rows under a key in one keyspace, from the oldest on, and the garbage there that could be under any key.
pub(super) fn rows(
    connection: &Connection,
    keyspace: Keyspace,
    key: &CacheKey,
) -> Result<Vec<KeyRow>, Fault> {
    let (sql, entry): (_, fn(i64) -> Entry) = match keyspace {
        Keyspace::Responses => ("SELECT entry, head FROM responses WHERE hash = ?1", Entry::Response),
        Keyspace::Aliases => ("SELECT entry, head FROM redirects WHERE hash = ?1", Entry::Redirect),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([hash(key)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let head = head(row, 1);
        if head.as_ref().map_or(true, |head| head.key == *key) {
            found.push(KeyRow { entry: entry(row.get(0)?), head });
        }
    }
    Ok(found)
}

/// Deletes a row; the triggers do the rest.
pub(super) fn delete(connection: &Connection, entry: Entry) -> Result<(), Fault> {
    let (sql, entry) = match entry {
        Entry::Response(entry) => ("DELETE FROM responses WHERE entry = ?1", entry),
        Entry::Redirect(entry) => ("DELETE FROM redirects WHERE entry = ?1", entry),
    };
    connection.prepare_cached(sql)?.execute([entry])?;
    Ok(())
}

/// What a head and its body count for.
pub(super) fn size(head: &StoredHead, encoded: &[u8]) -> i64 {
    length(head.body_len().saturating_add(encoded.len() as u64))
}

pub(super) fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
