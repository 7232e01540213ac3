//! Listing what is stored, and counting it.

use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use super::error::{Fault, NAME};
use super::handle::Handle;
use super::rows::{alias, head};
use crate::entry::{Alias, StoredHead};
use crate::storage::{Cursor, Page, StorageError, StorageErrorKind, Usage};

/// A page of a listing is never longer.
const PAGE: usize = 1000;

/// The row after which a listing continues.
pub(super) fn after(cursor: Option<&Cursor>) -> Result<i64, StorageError> {
    let Some(Cursor(bytes)) = cursor else { return Ok(i64::MIN) };
    let bytes = bytes.as_ref().try_into().map_err(|_| {
        StorageError::new(StorageErrorKind::Invalid, NAME, "this cursor belongs to another storage")
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

/// The bytes of the database and its log.
pub(super) async fn size(handle: &Handle) -> Result<u64, StorageError> {
    const ACTION: &str = "measuring";
    let on_disk = handle.place.size().map_err(|error| handle.error(error.into(), ACTION))?;
    if let Some(bytes) = on_disk {
        return Ok(bytes);
    }
    let bytes = handle.read(ACTION, |connection| {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok(pragma("page_count")?.saturating_mul(pragma("page_size")?))
    });
    Ok(u64::try_from(bytes.await?).unwrap_or(0))
}
