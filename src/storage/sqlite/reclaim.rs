//! Taking back the room of bodies that nobody can reach any more.
//!
//! Deleting a response condemns its chunks: they go afterwards in steps of bounded size, and not while this process
//! still reads them. A body that is being written is on record as pending, so that what a killed writer leaves is
//! found; a writer whose body was taken away by mistake notices when it publishes, and fails.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::State;
use super::error::Fault;
use super::queue::Session;
use crate::clock::{Clock, SystemClock};
use crate::random;

/// At most so many chunks, 8 MiB, are deleted in one transaction.
const STEP: usize = 64;
/// A pending body that did not grow for so long is given up: ten minutes, in milliseconds.
const PATIENCE: i64 = 10 * 60 * 1000;

/// The bodies that this storage reads and writes at present.
#[derive(Debug)]
pub(super) struct Bodies {
    owner: i64,
    process: String,
    writing: Mutex<HashSet<i64>>,
    reading: Mutex<HashMap<i64, usize>>,
    /// A condemned body was left alone for the sake of a reader.
    spared: AtomicBool,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self {
            owner: random::bits64().cast_signed(),
            process: Process::own(),
            writing: Mutex::default(),
            reading: Mutex::default(),
            spared: AtomicBool::new(false),
        }
    }

    fn begin_writing(&self, body: i64) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).insert(body);
    }

    fn end_writing(&self, body: i64) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&body);
    }

    pub(super) fn begin_reading(&self, body: i64) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        *reading.entry(body).or_default() += 1;
    }

    /// Returns whether there may now be something to reclaim.
    pub(super) fn end_reading(&self, body: i64) -> bool {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(readers) = reading.get_mut(&body) {
            *readers -= 1;
            if *readers == 0 {
                reading.remove(&body);
            }
        }
        self.spared.load(Ordering::Relaxed)
    }

    fn is_read(&self, body: i64) -> bool {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&body)
    }

    fn is_written(&self, body: i64) -> bool {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).contains(&body)
    }
}

/// A body that is being written, for as long as its writer or a job of it lives.
#[derive(Debug)]
pub(super) struct Writing {
    state: Arc<State>,
    body: i64,
}

impl Writing {
    pub(super) fn new(state: &Arc<State>, body: i64) -> Arc<Self> {
        state.bodies.begin_writing(body);
        Arc::new(Self { state: Arc::clone(state), body })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.state.bodies.end_writing(self.body);
    }
}

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

/// Strikes a body off the record because a head leads to it now. Returns whether it was there.
pub(super) fn settle(connection: &Connection, body: i64) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("DELETE FROM pending WHERE body = ?1")?.execute([body])? > 0)
}

/// Gives up a pending body.
pub(super) fn condemn(connection: &Connection, body: i64) -> Result<(), Fault> {
    if settle(connection, body)? {
        connection.prepare_cached("INSERT OR IGNORE INTO condemned (body) VALUES (?1)")?.execute([body])?;
    }
    Ok(())
}

/// Gives up everything that this storage was writing: it is being closed.
pub(super) fn resign(session: &Session<'_>) -> Result<(), Fault> {
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
    // No writer of ours leaves such chunks, but a person with a shell can.
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

/// A process as others can ask for it: its id and, because ids mean something only there, its id namespace.
struct Process;

impl Process {
    fn own() -> String {
        format!("{}@{}", std::process::id(), Self::namespace().unwrap_or_default())
    }

    /// Whether that process certainly does not live any more. Where that cannot be told, patience has to do.
    fn is_dead(process: &str, own: &str) -> bool {
        let (Some((id, namespace)), Some((_, own_namespace))) =
            (process.split_once('@'), own.split_once('@'))
        else {
            return false;
        };
        !namespace.is_empty()
            && namespace == own_namespace
            && id.bytes().all(|byte| byte.is_ascii_digit())
            && !Path::new("/proc").join(id).exists()
    }

    /// Only Linux has one.
    fn namespace() -> Option<String> {
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        namespace.into_os_string().into_string().ok()
    }
}
