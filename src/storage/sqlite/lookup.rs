//! Finding what is stored: one statement for both keyspaces and the fence, and listings.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::error::{BACKEND, Fault};
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse, codec};
use crate::key::CacheKey;
use crate::storage::{Cursor, Fence, Keyspace, Lookup, Page, StorageError, StorageErrorKind, Usage};

/// Three point queries in one statement: they see one state of the database and take its lock once. The arms are run
/// one after the other, so the fence is not younger than what follows.
const LOOKUP: &str = "
    SELECT 0, fence, invalidated_groups, NULL, NULL FROM state
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
    let mut any_group_invalidated = false;
    let mut statement = connection.prepare_cached(LOOKUP)?;
    let mut rows = statement.query([hash(key)])?;
    while let Some(row) = rows.next()? {
        let keyspace: i64 = row.get(0)?;
        let number: i64 = row.get(1)?;
        match keyspace {
            0 => {
                found.lookup.fence = Fence(number as u64);
                any_group_invalidated = row.get::<_, i64>(2)? > 0;
            }
            1 => match response(row, StoredAs::Either) {
                Some(response) if response.head.key == *key => {
                    found.used.push(Entry::Response(number).mark());
                    found.lookup.responses.push(response);
                }
                Some(_) => {}
                None => found.garbage.push(Entry::Response(number)),
            },
            _ => match alias(row) {
                Some(alias) if alias.response.head.key == *key => {
                    found.used.push(Entry::Redirect(number).mark());
                    found.lookup.alias = Some(Arc::new(alias));
                }
                Some(_) => {}
                None => found.garbage.push(Entry::Redirect(number)),
            },
        }
    }
    // The index yields the rows in the order they were stored in.
    found.lookup.responses.reverse();
    if any_group_invalidated {
        for response in &mut found.lookup.responses {
            response.invalidated = is_invalidated(connection, &response.head)?;
        }
        if let Some(alias) = &mut found.lookup.alias {
            let invalidated = is_invalidated(connection, &alias.response.head)?;
            Arc::make_mut(alias).response.invalidated = invalidated;
        }
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

/// The response in the columns 2 to 4 of a row; `None` when they are not what was written.
fn response(row: &Row<'_>, place: StoredAs) -> Option<StoredResponse> {
    let head = head(row, 3)?;
    let chunked = matches!((place, row.get_ref(2)), (StoredAs::Either, Ok(ValueRef::Integer(_))));
    let body = if chunked { StoredBody::Streamed } else { StoredBody::Inline(inline(row, 4, &head)?) };
    Some(StoredResponse { head: Arc::new(head), body, invalidated: false })
}

fn alias(row: &Row<'_>) -> Option<Alias> {
    let target = CacheKey::from_canonical(blob(row, 2)?)?;
    Some(Alias { response: response(row, StoredAs::Inline)?, target })
}

fn head(row: &Row<'_>, column: usize) -> Option<StoredHead> {
    codec::decode(&blob(row, column)?).ok()
}

fn blob(row: &Row<'_>, column: usize) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(row.get_ref(column).ok()?.as_blob().ok()?))
}

/// A body in its head's row, verified.
pub(super) fn inline(row: &Row<'_>, column: usize, head: &StoredHead) -> Option<Bytes> {
    let body = match row.get_ref(column).ok()? {
        ValueRef::Null => Bytes::new(),
        body => Bytes::copy_from_slice(body.as_blob().ok()?),
    };
    (head.body == Some(BodySummary::of(&body))).then_some(body)
}

fn is_invalidated(connection: &Connection, head: &StoredHead) -> Result<bool, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM group_times WHERE origin = ?1 AND name = ?2 AND time >= ?3")?;
    for group in &head.groups {
        if statement.exists(params![group.origin, group.name, head.response_time.as_millis()])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A row under a key and its head; garbage has none.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) entry: Entry,
    pub(super) head: Option<StoredHead>,
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
        if head.as_ref().is_none_or(|head| head.key == *key) {
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
    page(connection, sql, after, limit, |row| head(row, 1))
}

pub(super) fn aliases(connection: &Connection, after: i64, limit: usize) -> Result<Page<Alias>, Fault> {
    let sql = "SELECT entry, NULL, target_key, head, body FROM redirects
               WHERE entry > ?1 ORDER BY entry LIMIT ?2";
    page(connection, sql, after, limit, alias)
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
