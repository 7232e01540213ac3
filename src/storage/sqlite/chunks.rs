//! The chunks of bodies that are too long for the row of their head.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::Fault;
use crate::storage::StorageErrorKind;

/// Bytes of a body in one row. Reading one takes some tens of microseconds.
pub(super) const CHUNK: usize = 128 << 10;

/// A chunk of a body.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) seq: i64,
    pub(super) data: Bytes,
}

impl Chunk {
    /// Stores the chunk.
    pub(super) fn insert(&self, connection: &Connection, body: i64) -> Result<(), Fault> {
        connection
            .prepare_cached("INSERT INTO chunks (body, seq, checksum, data) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![body, self.seq, checksum(&self.data, body, self.seq), self.data.as_ref()])?;
        Ok(())
    }

    /// Reads and verifies a chunk; `None` when there is none.
    pub(super) fn read(connection: &Connection, body: i64, seq: i64) -> Result<Option<Bytes>, Fault> {
        let mut statement =
            connection.prepare_cached("SELECT checksum, data FROM chunks WHERE body = ?1 AND seq = ?2")?;
        let found = statement
            .query_row(params![body, seq], |row| {
                let data = Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?);
                Ok((row.get::<_, i64>(0)?, data))
            })
            .optional()?;
        match found {
            Some((sum, data)) if sum != checksum(&data, body, seq) => Err(Fault::new(
                StorageErrorKind::Corrupt,
                format!("chunk {seq} differs from what was written"),
            )),
            found => Ok(found.map(|(_, data)| data)),
        }
    }
}

/// A chunk in another's place is as wrong as a changed one.
fn checksum(data: &[u8], body: i64, seq: i64) -> i64 {
    xxh3_64_with_seed(data, (body ^ seq.rotate_left(32)) as u64) as i64
}
