//! Removal of what is stored under a key, and of everything.

use rusqlite::{Connection, params};

use super::error::Fault;
use super::fence::{raise_fence, raise_floor};
use super::handle::Handle;
use super::rows::{BOTH, delete, rows};
use super::session::Session;
use super::sweep::Sweep;
use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::storage::{Keyspace, StorageError};

/// Deletes everything under a key, and leaves a fence that refuses the fills under way.
pub(super) fn remove(session: &Session<'_>, key: &CacheKey) -> Result<bool, Fault> {
    let connection = session.connection;
    raise_fence(connection, key)?;
    let mut any = false;
    for keyspace in BOTH {
        for row in rows(connection, keyspace, key)? {
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
        for row in rows(connection, keyspace, key)? {
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

/// Removes everything in these keyspaces: first the fences, then the rows.
pub(super) async fn clear(handle: &Handle, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
    const ACTION: &str = "clearing";
    let sweeps = handle.write(ACTION, move |session| fence_off_all(session, keyspace)).await?;
    for sweep in sweeps {
        handle.sweep(ACTION, sweep).await?;
    }
    Ok(())
}

/// Refuses all fills under way in these keyspaces. Returns what to sweep away.
fn fence_off_all(session: &Session<'_>, keyspace: Option<Keyspace>) -> Result<Vec<Sweep>, Fault> {
    let connection = session.connection;
    let mut sweeps = Vec::new();
    for each in BOTH.into_iter().filter(|each| keyspace.is_none_or(|one| one == *each)) {
        raise_floor(connection, each)?;
        sweeps.push(Sweep::new(connection, each, None)?);
    }
    Ok(sweeps)
}
