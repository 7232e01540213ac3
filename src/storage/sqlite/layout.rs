//! The tables, their version, and which program they belong to.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::error::Fault;
use crate::entry::StoredHead;
use crate::key::CacheKey;
use crate::storage::StorageErrorKind;

/// "lrdr": tells files of this crate from those of other programs.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"lrdr");
const VERSION: i32 = 2;
/// Above every number that a cache reaches, and far from overflow.
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
/// [`StorageErrorKind::Incompatible`] for everything that another program or another version wrote.
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

/// The number that keys are indexed by. Keys with the same number are told apart by their canonical form.
pub(super) fn hash(key: &CacheKey) -> i64 {
    key.hash128() as i64
}

/// The number of a body's chunks. Two bodies with one number cannot both be written: the index is unique.
pub(super) fn body_number(head: &StoredHead) -> i64 {
    head.id.bits() as i64
}
