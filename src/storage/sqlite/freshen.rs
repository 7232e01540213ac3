//! Freshening: a new head replaces the stored one (RFC 9111 section 3.2).

use rusqlite::params;

use super::error::Fault;
use super::fence::is_fenced_off;
use super::rows::{Entry, rows, size};
use super::session::Session;
use crate::entry::{StoredHead, codec};
use crate::storage::{Fence, Keyspace};

/// Replaces a head, and nothing else.
pub(super) fn freshen(session: &Session<'_>, head: &StoredHead, fence: Fence) -> Result<bool, Fault> {
    let connection = session.connection;
    if is_fenced_off(connection, Keyspace::Responses, &head.key, fence)? {
        return Ok(false);
    }
    let rows = rows(connection, Keyspace::Responses, &head.key)?;
    let stored = rows.into_iter().find_map(|row| match (row.entry, row.head) {
        (Entry::Response(entry), Ok(stored)) if stored.id == head.id => Some((entry, stored)),
        _ => None,
    });
    let Some((entry, stored)) = stored else { return Ok(false) };
    // The body stays the stored one, even if the new head says otherwise.
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
