//! Changing what is stored: each function is the work of one job, inside a transaction.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::error::Fault;
use super::lookup::{self, Entry};
use super::queue::Session;
use super::reclaim;
use super::writer::Chunk;
use crate::clock::Timestamp;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{Fence, Keyspace, Published, StorageErrorKind};

/// At most so many variants stand under one key: whoever varies by a field with many values pays for it himself.
const VARIANTS: usize = 32;
/// So many removals are remembered by their keys; fills from before that are refused whatever their key.
const FENCES: i64 = 4096;
/// So many rows are looked at in one transaction of a sweep.
const SWEEP: i64 = 1000;
/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
pub(super) const SLOTS: u32 = 1 << 16;

const BOTH: [Keyspace; 2] = [Keyspace::Responses, Keyspace::Aliases];

/// The body of a response that is to be published.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// In the row.
    Inline(Bytes),
    /// In chunks, of which `written` are stored already and `last` is not yet.
    Chunked { written: i64, last: Option<Chunk> },
}

/// Makes a complete response visible in place of those it replaces.
pub(super) fn publish(
    session: &Session<'_>,
    head: &Arc<StoredHead>,
    encoded: &[u8],
    body: &Body,
    fence: Fence,
) -> Result<Published, Fault> {
    let connection = session.connection;
    let number = lookup::body_number(head);
    if is_fenced_off(connection, Keyspace::Responses, &head.key, fence)? {
        reclaim::condemn(connection, number)?;
        return Ok(Published::Superseded);
    }
    let (inline, chunked) = match body {
        Body::Inline(body) => (Some(body.as_ref()), None),
        Body::Chunked { written, last } => {
            if *written > 0
                && !(is_written(connection, number, *written)? && reclaim::settle(connection, number)?)
            {
                return Err(given_up());
            }
            last.iter().try_for_each(|last| last.insert(connection, number))?;
            (None, Some(number))
        }
    };
    replace_equals(connection, head)?;
    connection
        .prepare_cached(
            "INSERT INTO responses (hash, id, url, method, status, request_time, response_time, usable_until,
                                    body_length, size, chunked, head, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            lookup::hash(&head.key),
            head.id.bits().to_be_bytes(),
            head.uri,
            head.method.as_str(),
            head.status.as_u16(),
            head.request_time.as_millis(),
            head.response_time.as_millis(),
            head.usable_until.as_millis(),
            length(head.body_len()),
            size(head, encoded),
            chunked,
            encoded,
            inline,
        ])?;
    Ok(Published::Stored)
}

/// Whether all these chunks are stored. Nobody has waited for them, and any of them can have failed.
fn is_written(connection: &Connection, body: i64, chunks: i64) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM chunks WHERE body = ?1")?;
    Ok(statement.query_row([body], |row| row.get::<_, i64>(0))? == chunks)
}

/// What a writer is told whose chunks were taken away.
pub(super) fn given_up() -> Fault {
    Fault::new(
        StorageErrorKind::Missing,
        "the body is not there as it was written: a part failed, or it was given up, because it did not grow for long",
    )
}

/// Deletes what a response replaces, what is garbage, and the variants that are too many with it.
fn replace_equals(connection: &Connection, head: &StoredHead) -> Result<(), Fault> {
    let (mut others, mut goes) = (Vec::new(), Vec::new());
    for row in lookup::rows(connection, Keyspace::Responses, &head.key)? {
        match row.head {
            Ok(other) if other.selecting != head.selecting || other.range != head.range => {
                others.push(row.entry);
            }
            // It counts, so that two versions together keep the limit.
            Err(DecodeError::Version(_)) => others.push(row.entry),
            Ok(_) | Err(_) => goes.push(row.entry),
        }
    }
    let surplus = (others.len() + 1).saturating_sub(VARIANTS);
    goes.extend(others.into_iter().take(surplus));
    goes.into_iter().try_for_each(|entry| delete(connection, entry))
}

/// Replaces a head, and nothing else.
pub(super) fn freshen(session: &Session<'_>, head: &StoredHead, fence: Fence) -> Result<bool, Fault> {
    let connection = session.connection;
    if is_fenced_off(connection, Keyspace::Responses, &head.key, fence)? {
        return Ok(false);
    }
    let rows = lookup::rows(connection, Keyspace::Responses, &head.key)?;
    let stored = rows.into_iter().find_map(|row| match (row.entry, row.head) {
        (Entry::Response(entry), Ok(stored)) if stored.id == head.id => Some((entry, stored)),
        _ => None,
    });
    let Some((entry, stored)) = stored else { return Ok(false) };
    // The body is the one that was stored, whatever the new head says of it.
    let head = StoredHead { body: stored.body, ..head.clone() };
    let encoded = codec::encode(&head);
    connection
        .prepare_cached(
            "UPDATE responses SET url = ?2, method = ?3, status = ?4, request_time = ?5, response_time = ?6,
                                  usable_until = ?7, size = ?8, head = ?9
             WHERE entry = ?1",
        )?
        .execute(params![
            entry,
            head.uri,
            head.method.as_str(),
            head.status.as_u16(),
            head.request_time.as_millis(),
            head.response_time.as_millis(),
            head.usable_until.as_millis(),
            size(&head, &encoded),
            encoded,
        ])?;
    Ok(true)
}

/// An alias made ready for its row.
#[derive(Debug)]
pub(super) struct AliasRow {
    pub(super) alias: Alias,
    pub(super) head: Vec<u8>,
    pub(super) body: Bytes,
}

/// Stores an alias in place of the one under its key.
pub(super) fn put_alias(session: &Session<'_>, row: &AliasRow, fence: Fence) -> Result<Published, Fault> {
    let connection = session.connection;
    let head = &row.alias.response.head;
    if is_fenced_off(connection, Keyspace::Aliases, &head.key, fence)? {
        return Ok(Published::Superseded);
    }
    for row in lookup::rows(connection, Keyspace::Aliases, &head.key)? {
        if !row.is_foreign() {
            delete(connection, row.entry)?;
        }
    }
    let target = &row.alias.target;
    connection
        .prepare_cached(
            "INSERT INTO redirects (hash, id, url, target, method, status, request_time, response_time,
                                    usable_until, size, target_key, head, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            lookup::hash(&head.key),
            head.id.bits().to_be_bytes(),
            head.uri,
            target.uri().unwrap_or_default(),
            head.method.as_str(),
            head.status.as_u16(),
            head.request_time.as_millis(),
            head.response_time.as_millis(),
            head.usable_until.as_millis(),
            length((row.head.len() + row.body.len() + target.canonical().len()) as u64),
            target.canonical().as_ref(),
            row.head,
            row.body.as_ref(),
        ])?;
    Ok(Published::Stored)
}

/// Deletes everything under a key and fences off the fills under way.
pub(super) fn remove(session: &Session<'_>, key: &CacheKey) -> Result<bool, Fault> {
    let connection = session.connection;
    raise_fence(connection, key)?;
    let mut any = false;
    for keyspace in BOTH {
        for row in lookup::rows(connection, keyspace, key)? {
            delete(connection, row.entry)?;
            any |= row.head.is_ok();
        }
    }
    Ok(any)
}

/// Deletes the one response or alias with this id.
pub(super) fn remove_entry(session: &Session<'_>, key: &CacheKey, id: EntryId) -> Result<bool, Fault> {
    let connection = session.connection;
    let mut any = false;
    for keyspace in BOTH {
        for row in lookup::rows(connection, keyspace, key)? {
            if row.head.is_ok_and(|head| head.id == id) {
                delete(connection, row.entry)?;
                any = true;
            }
        }
    }
    Ok(any)
}

/// Deletes the entry of a body that could not be read.
pub(super) fn discard(connection: &Connection, hash: i64, id: EntryId) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM responses WHERE hash = ?1 AND id = ?2",
        "DELETE FROM redirects WHERE hash = ?1 AND id = ?2",
    ] {
        connection.prepare_cached(sql)?.execute(params![hash, id.bits().to_be_bytes()])?;
    }
    Ok(())
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

/// Whether a removal came between the lookup that handed out the fence and now.
fn is_fenced_off(
    connection: &Connection,
    keyspace: Keyspace,
    key: &CacheKey,
    fence: Fence,
) -> Result<bool, Fault> {
    let sql = match keyspace {
        Keyspace::Responses => {
            "SELECT responses_floor > ?1 OR EXISTS (SELECT 1 FROM fences WHERE hash = ?2 AND fence > ?1)
             FROM state"
        }
        Keyspace::Aliases => {
            "SELECT redirects_floor > ?1 OR EXISTS (SELECT 1 FROM fences WHERE hash = ?2 AND fence > ?1)
             FROM state"
        }
    };
    let fence = i64::try_from(fence.0).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![fence, lookup::hash(key)], |row| row.get(0))?)
}

fn next_fence(connection: &Connection) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached("UPDATE state SET fence = fence + 1 RETURNING fence")?;
    // All rows have to be taken, or the update is not finished.
    let fences = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    fences.first().copied().ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
}

fn raise_fence(connection: &Connection, key: &CacheKey) -> Result<(), Fault> {
    let fence = next_fence(connection)?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO fences (hash, fence) VALUES (?1, ?2)")?
        .execute(params![lookup::hash(key), fence])?;
    // Now and then the oldest are dropped, and the floor is raised to where they stood.
    if fence % (FENCES / 4) == 0 {
        let floor = fence - FENCES;
        connection.execute("DELETE FROM fences WHERE fence <= ?1", [floor])?;
        connection.execute(
            "UPDATE state SET responses_floor = max(responses_floor, ?1),
                              redirects_floor = max(redirects_floor, ?1)",
            [floor],
        )?;
    }
    Ok(())
}

/// Fences off all fills in these keyspaces. Returns the last row to be swept away in each.
pub(super) fn fence_off_all(
    session: &Session<'_>,
    keyspace: Option<Keyspace>,
) -> Result<Vec<(Keyspace, i64)>, Fault> {
    let connection = session.connection;
    let fence = next_fence(connection)?;
    let mut last = Vec::new();
    for each in BOTH.into_iter().filter(|each| keyspace.is_none_or(|one| one == *each)) {
        let floor = match each {
            Keyspace::Responses => "UPDATE state SET responses_floor = ?1",
            Keyspace::Aliases => "UPDATE state SET redirects_floor = ?1",
        };
        connection.execute(floor, [fence])?;
        last.push((each, last_row(connection, each)?));
    }
    Ok(last)
}

/// The newest row of a keyspace.
pub(super) fn last_row(connection: &Connection, keyspace: Keyspace) -> Result<i64, Fault> {
    let sql = match keyspace {
        Keyspace::Responses => "SELECT coalesce(max(entry), 0) FROM responses",
        Keyspace::Aliases => "SELECT coalesce(max(entry), 0) FROM redirects",
    };
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// One step of a sweep through a keyspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    pub(super) keyspace: Keyspace,
    /// Rows up to this one have been looked at.
    pub(super) done: i64,
    /// Rows behind this one are not looked at.
    pub(super) last: i64,
    /// What stopped being usable by this time is deleted; without it, everything.
    pub(super) usable_by: Option<Timestamp>,
}

/// Deletes some of what a sweep is about. Returns how many rows, and the rest of the sweep.
///
/// From the oldest row on: a row number is used again only when the newest row goes, so what is stored meanwhile
/// stands behind the last one.
pub(super) fn sweep(session: &Session<'_>, sweep: Sweep) -> Result<(u64, Option<Sweep>), Fault> {
    let connection = session.connection;
    let (end, delete) = match sweep.keyspace {
        Keyspace::Responses => (
            "SELECT max(entry) FROM
             (SELECT entry FROM responses WHERE entry > ?1 AND entry <= ?2 ORDER BY entry LIMIT ?3)",
            "DELETE FROM responses WHERE entry > ?1 AND entry <= ?2 AND usable_until <= ?3",
        ),
        Keyspace::Aliases => (
            "SELECT max(entry) FROM
             (SELECT entry FROM redirects WHERE entry > ?1 AND entry <= ?2 ORDER BY entry LIMIT ?3)",
            "DELETE FROM redirects WHERE entry > ?1 AND entry <= ?2 AND usable_until <= ?3",
        ),
    };
    let end: Option<i64> = connection
        .prepare_cached(end)?
        .query_row(params![sweep.done, sweep.last, SWEEP], |row| row.get(0))?;
    let Some(end) = end else { return Ok((0, None)) };
    let usable_by = sweep.usable_by.map_or(i64::MAX, Timestamp::as_millis);
    let deleted = connection.prepare_cached(delete)?.execute(params![sweep.done, end, usable_by])?;
    Ok((deleted as u64, Some(Sweep { done: end, ..sweep })))
}

/// Counts an invalidation, and gives its number to the groups.
pub(super) fn invalidate(session: &Session<'_>, groups: &[GroupId]) -> Result<(), Fault> {
    let connection = session.connection;
    connection.prepare_cached("UPDATE state SET invalidations = invalidations + 1")?.execute([])?;
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO invalidated (slot, number) SELECT ?1, invalidations FROM state",
    )?;
    for group in groups {
        statement.execute([group.slot(SLOTS)])?;
    }
    Ok(())
}

fn size(head: &StoredHead, encoded: &[u8]) -> i64 {
    length(head.body_len().saturating_add(encoded.len() as u64))
}

fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
