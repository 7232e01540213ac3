//! Repairing a damaged database.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::error::Fault;
use super::layout::{MOST, ensure};
use crate::storage::StorageErrorKind;

/// Whether a cache can reach the numbers of the table `state`. Higher ones are from another program. SQLite turns a number
/// that overflows into a float, and then nothing could be stored any more.
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

/// Repairs a damaged database by emptying it: what it held can be fetched again.
///
/// Returns whether that was necessary; another process may have done it before.
pub(super) fn repair(connection: &Connection) -> Result<bool, Fault> {
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
