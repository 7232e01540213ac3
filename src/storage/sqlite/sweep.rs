//! Going through a keyspace from its oldest row on, some rows at a time.

use rusqlite::{Connection, params};

use super::error::Fault;
use super::session::Session;
use crate::clock::Timestamp;
use crate::storage::Keyspace;

/// So many rows are looked at in one transaction of a sweep.
const SWEEP: i64 = 1000;

/// One step of a sweep through a keyspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    keyspace: Keyspace,
    /// Rows up to this one have been looked at.
    done: i64,
    /// Rows behind this one are not looked at.
    last: i64,
    /// What stopped being usable by this time is deleted; without it, everything.
    usable_by: Option<Timestamp>,
}

impl Sweep {
    /// A sweep through everything that is stored now.
    pub(super) fn new(
        connection: &Connection,
        keyspace: Keyspace,
        usable_by: Option<Timestamp>,
    ) -> Result<Self, Fault> {
        Ok(Self { keyspace, done: i64::MIN, last: last_row(connection, keyspace)?, usable_by })
    }
}

/// Deletes some of what a sweep is about. Returns how many rows, and the rest of the sweep.
///
/// From the oldest row on: a row number is used again only when the newest row goes, so what is stored meanwhile
/// stands behind the last one.
pub(super) fn step(session: &Session<'_>, sweep: Sweep) -> Result<(u64, Option<Sweep>), Fault> {
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

/// The newest row of a keyspace.
fn last_row(connection: &Connection, keyspace: Keyspace) -> Result<i64, Fault> {
    let sql = match keyspace {
        Keyspace::Responses => "SELECT coalesce(max(entry), 0) FROM responses",
        Keyspace::Aliases => "SELECT coalesce(max(entry), 0) FROM redirects",
    };
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}
