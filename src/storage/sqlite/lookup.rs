//! Looking up what is stored under a key: one statement for both keyspaces and the fence.

use std::sync::Arc;

use rusqlite::Connection;

use super::error::Fault;
use super::groups::is_invalidated;
use super::layout::hash;
use super::rows::{Entry, StoredAs, alias, response};
use crate::entry::codec::DecodeError;
use crate::key::CacheKey;
use crate::storage::{Fence, Lookup};

/// Three point queries in one statement: they see one state of the database and take its lock once. The arms are run
/// one after the other, so the fence is not younger than what follows.
const LOOKUP: &str = "
    SELECT 0, fence, invalidations, NULL, NULL FROM state
    UNION ALL SELECT 1, entry, chunked, head, body FROM responses WHERE hash = ?1
    UNION ALL SELECT 2, entry, target_key, head, body FROM redirects WHERE hash = ?1";

/// What was found, and the rows that were.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lookup: Lookup,
    pub(super) used: Vec<i64>,
    pub(super) garbage: Vec<Entry>,
}

pub(super) fn lookup(connection: &Connection, key: &CacheKey) -> Result<Found, Fault> {
    let mut found = Found::default();
    let mut statement = connection.prepare_cached(LOOKUP)?;
    let mut rows = statement.query([hash(key)])?;
    while let Some(row) = rows.next()? {
        let keyspace: i64 = row.get(0)?;
        let number: i64 = row.get(1)?;
        match keyspace {
            0 => {
                found.lookup.fence = Fence(number as u64);
                found.lookup.as_of = row.get::<_, i64>(2)? as u64;
            }
            1 => match response(row, StoredAs::Either) {
                Ok(response) if response.head.key == *key => {
                    found.used.push(Entry::Response(number).mark());
                    found.lookup.responses.push(response);
                }
                Ok(_) | Err(DecodeError::Version(_)) => {}
                Err(_) => found.garbage.push(Entry::Response(number)),
            },
            _ => match alias(row) {
                Ok(alias) if alias.response.head.key == *key => {
                    found.used.push(Entry::Redirect(number).mark());
                    found.lookup.alias = Some(Arc::new(alias));
                }
                Ok(_) | Err(DecodeError::Version(_)) => {}
                Err(_) => found.garbage.push(Entry::Redirect(number)),
            },
        }
    }
    // The index yields the rows in the order they were stored in.
    found.lookup.responses.reverse();
    let as_of = found.lookup.as_of;
    for response in &mut found.lookup.responses {
        response.invalidated = is_invalidated(connection, &response.head, as_of)?;
    }
    if let Some(alias) = &mut found.lookup.alias
        && is_invalidated(connection, &alias.response.head, as_of)?
    {
        Arc::make_mut(alias).response.invalidated = true;
    }
    Ok(found)
}
