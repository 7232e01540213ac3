//! Publication: a complete response becomes visible in place of those it replaces.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::chunks::Chunk;
use super::error::Fault;
use super::fence::is_fenced_off;
use super::layout::{body_number, hash};
use super::reclaim;
use super::rows::{delete, length, rows, size};
use super::session::Session;
use crate::entry::StoredHead;
use crate::entry::codec::DecodeError;
use crate::storage::{Fence, Keyspace, Published, StorageErrorKind};

/// The body of a response to publish.
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
    let number = body_number(head);
    if is_fenced_off(connection, Keyspace::Responses, &head.key, fence)? {
        reclaim::condemn(connection, number)?;
        return Ok(Published::Superseded);
    }
    let (inline, chunked) = match body {
        Body::Inline(body) => (Some(body.as_ref()), None),
        Body::Chunked { written, last } => {
            if *written > 0
                && !(is_written(connection, number, *written)? && reclaim::forget(connection, number)?)
            {
                return Err(given_up());
            }
            last.iter().try_for_each(|last| last.insert(connection, number))?;
            (None, Some(number))
        }
    };
    replace_equals(session, head)?;
    connection
        .prepare_cached(
            "INSERT INTO responses (hash, id, url, method, status, request_time, response_time, usable_until,
                                    body_length, size, chunked, head, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            hash(&head.key),
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
        "the body is not there as it was written: a chunk failed, or it was given up because it did not grow for ten minutes",
    )
}

/// Deletes what a response replaces, what is garbage, and the variants that are too many with it.
fn replace_equals(session: &Session<'_>, head: &StoredHead) -> Result<(), Fault> {
    let connection = session.connection;
    let (mut others, mut goes) = (Vec::new(), Vec::new());
    for row in rows(connection, Keyspace::Responses, &head.key)? {
        match row.head {
            Ok(other) if other.selecting != head.selecting || other.range != head.range => {
                others.push(row.entry);
            }
            // It counts, so that two versions together keep the limit.
            Err(DecodeError::Version(_)) => others.push(row.entry),
            Ok(_) | Err(_) => goes.push(row.entry),
        }
    }
    let surplus = (others.len() + 1).saturating_sub(session.state.options.max_variants);
    goes.extend(others.into_iter().take(surplus));
    goes.into_iter().try_for_each(|entry| delete(connection, entry))
}
