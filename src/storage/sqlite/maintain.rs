//! Maintenance: what can never be used again, and what dead writers left.

use super::handle::Handle;
use super::rows::BOTH;
use super::sweep::Sweep;
use super::{queue, reclaim};
use crate::clock::Timestamp;
use crate::storage::{Maintained, StorageError};

const ACTION: &str = "maintaining";

pub(super) async fn maintain(handle: &Handle, now: Timestamp) -> Result<Maintained, StorageError> {
    let mut expired = 0;
    for keyspace in BOTH {
        let sweep = handle.write(ACTION, move |session| Sweep::new(session.connection, keyspace, Some(now)));
        expired += handle.sweep(ACTION, sweep.await?).await?;
    }
    let orphans = handle.write(ACTION, reclaim::condemn_orphans).await?;
    Ok(Maintained::new(expired, orphans))
}

/// Rewrites the database without the room of what was deleted.
pub(super) async fn vacuum(handle: &Handle) -> Result<(), StorageError> {
    const ACTION: &str = "vacuuming";
    let vacuumed = handle.queue(ACTION)?.alone(|session| {
        session.connection.execute_batch("VACUUM")?;
        queue::checkpoint(session)
    });
    vacuumed.await.map_err(|fault| handle.error(fault, ACTION))
}

/// Moves everything from the log into the database file.
pub(super) async fn checkpoint(handle: &Handle) -> Result<(), StorageError> {
    const ACTION: &str = "checkpointing";
    let done = handle.queue(ACTION)?.alone(queue::checkpoint);
    done.await.map_err(|fault| handle.error(fault, ACTION))
}
