//! Reclaiming the room of bodies that no head names any more.
//!
//! Deleting a response condemns its chunks: they go afterwards in steps of bounded size, and not while this process
//! still reads them. A body that is being written is on record as pending, so that what a killed writer leaves is
//! found; a writer whose body was taken away by mistake notices when it publishes, and fails.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::bodies::Process;
use super::error::Fault;
use super::session::Session;
use crate::clock::{Clock, SystemClock};

/// At most this many chunks, 8 MiB, are deleted in one transaction.
const STEP: usize = 64;
/// A pending body that did not grow for this long is given up: ten minutes, in milliseconds.
const PATIENCE: i64 = 10 * 60 * 1000;

/// Puts on record that the body grows. Returns whether it may: not when it was given up meanwhile.
pub(super) fn record(session: &Session<'_>, body: i64, first: bool) -> Result<bool, Fault> {
    let now = SystemClock.now().as_millis();
    let bodies = &session.state.bodies;
    let changed = if first {
        session
            .connection
            .prepare_cached("INSERT INTO pending (body, owner, process, touched) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![body, bodies.owner, bodies.process, now])?
    } else {
        session
            .connection
            .prepare_cached("UPDATE pending SET touched = ?2 WHERE body = ?1")?
            .execute(params![body, now])?
    };
    Ok(changed > 0)
}

/// Removes a body from the record because a head now names it. Returns whether it was there.
pub(super) fn forget(connection: &Connection, body: i64) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("DELETE FROM pending WHERE body = ?1")?.execute([body])? > 0)
}

/// Gives up a pending body.
pub(super) fn condemn(connection: &Connection, body: i64) -> Result<(), Fault> {
    if forget(connection, body)? {
        connection.prepare_cached("INSERT OR IGNORE INTO condemned (body) VALUES (?1)")?.execute([body])?;
    }
    Ok(())
}

/// Gives up everything that this storage was writing: it is being closed.
pub(super) fn give_up_all(session: &Session<'_>) -> Result<(), Fault> {
    let owner = session.state.bodies.owner;
    let mut statement = session.connection.prepare_cached("SELECT body FROM pending WHERE owner = ?1")?;
    let bodies = statement.query_map([owner], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    bodies.into_iter().try_for_each(|body| condemn(session.connection, body))
}

/// Condemns what dead writers left and chunks that nothing leads to. Returns how many bodies.
pub(super) fn condemn_orphans(session: &Session<'_>) -> Result<u64, Fault> {
    let connection = session.connection;
    let now = SystemClock.now().as_millis();
    let bodies = &session.state.bodies;
    let mut statement = connection.prepare_cached("SELECT body, owner, process, touched FROM pending")?;
    let pending = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<Vec<(i64, i64, String, i64)>, _>>()?;
    let mut orphans = 0;
    for (body, owner, process, touched) in pending {
        let abandoned = if owner == bodies.owner {
            !bodies.is_written(body)
        } else {
            Process::is_dead(&process, &bodies.process) || now.saturating_sub(touched) > PATIENCE
        };
        if abandoned {
            condemn(connection, body)?;
            orphans += 1;
        }
    }
    // No writer leaves such chunks, but a person with a shell can.
    let stray = connection.execute(
        "INSERT OR IGNORE INTO condemned
         SELECT DISTINCT body FROM chunks
         WHERE body NOT IN (SELECT chunked FROM responses WHERE chunked IS NOT NULL)
           AND body NOT IN (SELECT body FROM pending)
           AND body NOT IN (SELECT body FROM condemned)",
        [],
    )?;
    Ok(orphans + stray as u64)
}

/// Whether there are condemned bodies.
pub(super) fn is_due(session: &Session<'_>) -> bool {
    let exists = || session.connection.prepare_cached("SELECT 1 FROM condemned")?.exists([]);
    exists().unwrap_or(false)
}

/// Deletes some chunks of condemned bodies. Returns whether there were any that could be deleted.
pub(super) fn step(session: &Session<'_>) -> Result<bool, Fault> {
    let bodies = &session.state.bodies;
    bodies.spared.store(false, Ordering::Relaxed);
    let mut statement = session.connection.prepare_cached("SELECT body FROM condemned")?;
    let condemned = statement.query_map([], |row| row.get(0))?;
    let mut room = STEP;
    let mut gone = Vec::new();
    let mut progress = false;
    for body in condemned {
        let body: i64 = body?;
        if bodies.is_read(body) {
            bodies.spared.store(true, Ordering::Relaxed);
            continue;
        }
        let deleted = session
            .connection
            .prepare_cached(
                "DELETE FROM chunks WHERE chunk IN (SELECT chunk FROM chunks WHERE body = ?1 LIMIT ?2)",
            )?
            .execute(params![body, room as i64])?;
        progress = true;
        if deleted == room {
            break;
        }
        room -= deleted;
        gone.push(body);
    }
    let mut forget = session.connection.prepare_cached("DELETE FROM condemned WHERE body = ?1")?;
    for body in gone {
        forget.execute([body])?;
    }
    Ok(progress)
}
