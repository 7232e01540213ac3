//! The tables, their version, and whose they are.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::error::Fault;
use crate::storage::StorageErrorKind;

/// "lrdr": tells our files from everybody else's.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"lrdr");
const VERSION: i32 = 2;
/// Above every number that a cache of ours comes to, and far from overflow.
pub(super) const MOST: i64 = 1 << 60;
const SCHEMA: &str = include_str!("schema.sql");

/// What is in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    Ours,
}

/// What is in the database.
///
/// # Errors
///
/// [`StorageErrorKind::Incompatible`] for everything that is not ours or not of this version.
pub(super) fn examine(connection: &Connection) -> Result<Content, Fault> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let incompatible = |detail: &str| Err(Fault::new(StorageErrorKind::Incompatible, detail));
    if application == APPLICATION_ID {
        return match version {
            VERSION => Ok(Content::Ours),
            _ if version > VERSION => {
                incompatible("written by a newer version of larder; choose another path")
            }
            _ => incompatible("written by an unknown version of larder; choose another path"),
        };
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && tables == 0 {
        Ok(Content::Nothing)
    } else {
        incompatible("the file is a database of another program; choose another path")
    }
}

/// Creates the tables where there are none. Safe against another process that does the same.
pub(super) fn ensure(connection: &Connection) -> Result<(), Fault> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    if examine(&transaction)? == Content::Nothing {
        transaction.execute_batch(SCHEMA)?;
        // Starting from the time, a file made anew refuses every fill that began with the one before.
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        transaction.execute(
            "INSERT INTO state (id, fence, responses_floor, redirects_floor, invalidations) VALUES (1, ?1, ?1, ?1, ?1)",
            params![i64::try_from(start).unwrap_or(i64::MAX / 2)],
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Whether the numbers of the table `state` are ones that a cache of ours comes to. Others are not from us, and SQLite makes
/// of a number that overflows one that is none: nothing could be stored any more.
fn has_sound_numbers(connection: &Connection) -> Result<bool, Fault> {
    let mut statement = connection.prepare(
        "SELECT count(*) FROM state
         WHERE typeof(fence) = 'integer' AND fence BETWEEN 0 AND ?1
           AND typeof(invalidations) = 'integer' AND invalidations BETWEEN 0 AND ?1
           AND typeof(responses) = 'integer' AND responses BETWEEN 0 AND ?1
           AND typeof(redirects) = 'integer' AND redirects BETWEEN 0 AND ?1
           AND typeof(response_bytes) = 'integer' AND response_bytes BETWEEN 0 AND ?1
           AND typeof(redirect_bytes) = 'integer' AND redirect_bytes BETWEEN 0 AND ?1",
    )?;
    Ok(statement.query_row([MOST], |row| row.get::<_, i64>(0))? == 1)
}

/// Repairs a damaged database of ours by emptying it: what it held can be fetched again.
///
/// Returns whether that was necessary; another process may have done it before.
pub(super) fn heal(connection: &Connection) -> Result<bool, Fault> {
    let sound = ensure(connection).and_then(|()| {
        let first: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
        Ok(first == "ok" && has_sound_numbers(connection)?)
    });
    match sound {
        Ok(true) => return Ok(false),
        Ok(false) => {}
        Err(fault) if fault.kind == StorageErrorKind::Corrupt => {}
        Err(fault) => return Err(fault),
    }
    // SQLite's own way to empty a database that cannot be read any more, with the locks that other processes respect.
    connection.flush_prepared_statement_cache();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, true)?;
    let emptied = connection.execute_batch("VACUUM");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, false)?;
    emptied?;
    ensure(connection)?;
    Ok(true)
}
