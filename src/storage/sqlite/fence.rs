//! What a removal leaves: a number, which refuses the fills that began before it.

use rusqlite::{Connection, params};

use super::error::Fault;
use super::layout::hash;
use crate::key::CacheKey;
use crate::storage::{Fence, Keyspace};

/// This many removals are remembered by their keys. Fills from before them are refused for all keys.
const FENCES: i64 = 4096;

/// Whether a removal came between the lookup that handed out the fence and now.
pub(super) fn is_fenced_off(
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
    Ok(statement.query_row(params![fence, hash(key)], |row| row.get(0))?)
}

fn next_fence(connection: &Connection) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached("UPDATE state SET fence = fence + 1 RETURNING fence")?;
    // All rows have to be taken, or the update is not finished.
    let fences = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    fences.first().copied().ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
}

pub(super) fn raise_fence(connection: &Connection, key: &CacheKey) -> Result<(), Fault> {
    let fence = next_fence(connection)?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO fences (hash, fence) VALUES (?1, ?2)")?
        .execute(params![hash(key), fence])?;
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

/// Refuses all fills under way in a keyspace.
pub(super) fn raise_floor(connection: &Connection, keyspace: Keyspace) -> Result<(), Fault> {
    let fence = next_fence(connection)?;
    let floor = match keyspace {
        Keyspace::Responses => "UPDATE state SET responses_floor = ?1",
        Keyspace::Aliases => "UPDATE state SET redirects_floor = ?1",
    };
    connection.execute(floor, [fence])?;
    Ok(())
}
