//! Groups of responses: the numbers of invalidations (RFC 9111 section 4.4, RFC 9875).

use rusqlite::{Connection, params};

use super::error::Fault;
use super::session::Session;
use crate::entry::{GroupId, StoredHead};

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
const SLOTS: u32 = 1 << 16;

/// Counts an invalidation, and gives its number to the groups.
pub(super) fn invalidate(session: &Session<'_>, groups: &[GroupId]) -> Result<(), Fault> {
    let connection = session.connection;
    connection.prepare_cached("UPDATE state SET invalidations = invalidations + 1")?.execute([])?;
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO invalidated (slot, number) SELECT ?1, invalidations FROM state",
    )?;
    for group in groups {
        statement.execute([group.slot(SLOTS)])?;
    }
    Ok(())
}

/// Whether one of the head's groups was invalidated since it was stored or freshened; `count` is of all invalidations.
pub(super) fn is_invalidated(connection: &Connection, head: &StoredHead, count: u64) -> Result<bool, Fault> {
    // The usual case: nothing was invalidated since.
    if count <= head.as_of {
        return Ok(false);
    }
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM invalidated WHERE slot = ?1 AND number > ?2")?;
    for group in head.group_ids() {
        if statement.exists(params![group.slot(SLOTS), head.as_of as i64])? {
            return Ok(true);
        }
    }
    Ok(false)
}
