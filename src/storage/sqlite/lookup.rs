//! Finding what is stored: one statement for both keyspaces and the fence, and listings.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::error::{BACKEND, Fault};
use super::publish;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::storage::{Cursor, Fence, Keyspace, Lookup, Page, StorageError, StorageErrorKind, Usage};

/// Three point queries in one statement: they see one state of the database and take its lock once. The arms are run
/// one after the other, so the fence is not younger than what follows.
const LOOKUP: &str = "
    SELECT 0, fence, invalidations, NULL, NULL FROM state
    UNION ALL SELECT 1, entry, chunked, head, body FROM responses WHERE hash = ?1
    UNION ALL SELECT 2, entry, target_key, head, body FROM redirects WHERE hash = ?1";

/// A page of a listing is never longer.
const PAGE: usize = 1000;

/// The number that keys are indexed by. Keys with the same number are told apart by their canonical form.
pub(super) fn hash(key: &CacheKey) -> i64 {
    key.hash128() as i64
}

/// The number of a body's chunks. Two bodies with one number cannot both be written: the index is unique.
pub(super) fn body_number(head: &StoredHead) -> i64 {
    head.id.bits() as i64
}

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

/// What was found, and the rows that were.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lookup: Lookup,
    pub(super) used: Vec<i64>,
    pub(super) garbage: Vec<Entry>,
}

pub(super) fn lookup(connection: &Connection, key: &CacheKey) -> Result<Found, Fault> {
    let mut found = Found::default();
    let mut statement = connection.prepare_cached(LOOKUP)?;
    let mut rows = statement.query([hash(key)])?;
    while let Some(row) = rows.next()? {
        let keyspace: i64 = row.get(0)?;
        let number: i64 = row.get(1)?;
        match keyspace {
            0 => {
                found.lookup.fence = Fence(number as u64);
                found.lookup.as_of = row.get::<_, i64>(2)? as u64;
            }
            1 => match response(row, StoredAs::Either) {
                Ok(response) if response.head.key == *key => {
                    found.used.push(Entry::Response(number).mark());
                    found.lookup.responses.push(response);
                }
                Ok(_) | Err(DecodeError::Version(_)) => {}
                Err(_) => found.garbage.push(Entry::Response(number)),
            },
            _ => match alias(row) {
                Ok(alias) if alias.response.head.key == *key => {
                    found.used.push(Entry::Redirect(number).mark());
                    found.lookup.alias = Some(Arc::new(alias));
                }
                Ok(_) | Err(DecodeError::Version(_)) => {}
                Err(_) => found.garbage.push(Entry::Redirect(number)),
            },
        }
    }
    // The index yields the rows in the order they were stored in.
    found.lookup.responses.reverse();
    let as_of = found.lookup.as_of;
    for response in &mut found.lookup.responses {
        response.invalidated = is_invalidated(connection, &response.head, as_of)?;
    }
    if let Some(alias) = &mut found.lookup.alias
        && is_invalidated(connection, &alias.response.head, as_of)?
    {
        Arc::make_mut(alias).response.invalidated = true;
    }
    Ok(found)
}

/// Where the body of a row can be.
enum StoredAs {
    /// In the row, or in the chunks that column 2 names.
    Either,
    /// In the row.
    Inline,
}

/// The response in the columns 2 to 4 of a row.
fn response(row: &Row<'_>, place: StoredAs) -> Result<StoredResponse, DecodeError> {
    let head = head(row, 3)?;
    let chunked = matches!((place, row.get_ref(2)), (StoredAs::Either, Ok(ValueRef::Integer(_))));
    let body = if chunked {
        StoredBody::Streamed
    } else {
        StoredBody::Inline(inline(row, 4, &head).ok_or(DecodeError::Corrupt)?)
    };
    Ok(StoredResponse { head: Arc::new(head), body, invalidated: false })
}

fn alias(row: &Row<'_>) -> Result<Alias, DecodeError> {
    let response = response(row, StoredAs::Inline)?;
    let target = CacheKey::from_canonical(blob(row, 2)?).ok_or(DecodeError::Corrupt)?;
    Ok(Alias { response, target })
}

fn head(row: &Row<'_>, column: usize) -> Result<StoredHead, DecodeError> {
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

/// Whether one of the head's groups was invalidated since it was stored or freshened; `count` is of all invalidations.
fn is_invalidated(connection: &Connection, head: &StoredHead, count: u64) -> Result<bool, Fault> {
    // The usual case: nothing was invalidated since.
    if count <= head.as_of {
        return Ok(false);
    }
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM invalidated WHERE slot = ?1 AND number > ?2")?;
    for group in head.group_ids() {
        if statement.exists(params![group.slot(publish::SLOTS), head.as_of as i64])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A row under a key and its head, or why there is none.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) entry: Entry,
    pub(super) head: Result<StoredHead, DecodeError>,
}

impl KeyRow {
    /// Whether another version of the format wrote it, perhaps under another key: it is none of ours.
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

/// The row a listing goes on behind.
pub(super) fn after(cursor: Option<&Cursor>) -> Result<i64, StorageError> {
    let Some(Cursor(bytes)) = cursor else { return Ok(i64::MIN) };
    let bytes = bytes.as_ref().try_into().map_err(|_| {
        StorageError::new(StorageErrorKind::Invalid, BACKEND, "this cursor is of another storage")
    })?;
    Ok(i64::from_be_bytes(bytes))
}

pub(super) fn responses(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Result<Page<StoredHead>, Fault> {
    let sql = "SELECT entry, head FROM responses WHERE entry > ?1 ORDER BY entry LIMIT ?2";
    page(connection, sql, after, limit, |row| head(row, 1).ok())
}

pub(super) fn aliases(connection: &Connection, after: i64, limit: usize) -> Result<Page<Alias>, Fault> {
    let sql = "SELECT entry, NULL, target_key, head, body FROM redirects
               WHERE entry > ?1 ORDER BY entry LIMIT ?2";
    page(connection, sql, after, limit, |row| alias(row).ok())
}

fn page<T>(
    connection: &Connection,
    sql: &str,
    after: i64,
    limit: usize,
    item: impl Fn(&Row<'_>) -> Option<T>,
) -> Result<Page<T>, Fault> {
    let limit = limit.clamp(1, PAGE);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, limit as i64])?;
    let (mut items, mut seen, mut last) = (Vec::new(), 0, after);
    while let Some(row) = rows.next()? {
        seen += 1;
        last = row.get(0)?;
        items.extend(item(row));
    }
    let next = (seen == limit).then(|| Cursor(Bytes::copy_from_slice(&last.to_be_bytes())));
    Ok(Page { items, next })
}

pub(super) fn usage(connection: &Connection) -> Result<Usage, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT responses, redirects, response_bytes + redirect_bytes FROM state")?;
    Ok(statement.query_row([], |row| {
        let count = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
        Ok(Usage::new(count(0)?, count(1)?, count(2)?))
    })?)
}
