//! Redirect aliases: one row under a key, with the response and its target.

use bytes::Bytes;
use rusqlite::params;

use super::error::{Fault, NAME};
use super::fence::is_fenced_off;
use super::layout::hash;
use super::rows::{delete, length, rows};
use super::session::Session;
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, codec};
use crate::storage::{Fence, Keyspace, Published, StorageError, StorageErrorKind};

/// An alias made ready for its row.
#[derive(Debug)]
pub(super) struct AliasRow {
    alias: Alias,
    head: Vec<u8>,
    body: Bytes,
}

impl AliasRow {
    pub(super) fn new(alias: Alias) -> Result<Self, StorageError> {
        let body = match &alias.response.body {
            StoredBody::Inline(body) => body.clone(),
            StoredBody::Shared(pieces) => Bytes::from(pieces.concat()),
            StoredBody::Streamed => {
                let action = "storing an alias whose body did not come with it";
                return Err(StorageError::new(StorageErrorKind::Invalid, NAME, action));
            }
        };
        let head =
            StoredHead { body: Some(BodySummary::of(&body)), ..StoredHead::clone(&alias.response.head) };
        Ok(Self { head: codec::encode(&head), body, alias })
    }
}

/// Stores an alias in place of the one under its key.
pub(super) fn put(session: &Session<'_>, row: &AliasRow, fence: Fence) -> Result<Published, Fault> {
    let connection = session.connection;
    let head = &row.alias.response.head;
    if is_fenced_off(connection, Keyspace::Aliases, &head.key, fence)? {
        return Ok(Published::Superseded);
    }
    for row in rows(connection, Keyspace::Aliases, &head.key)? {
        if !row.is_foreign() {
            delete(connection, row.entry)?;
        }
    }
    let target = &row.alias.target;
    connection
        .prepare_cached(
            "INSERT INTO redirects (hash, id, url, target, method, status, request_time, response_time,
                                    usable_until, size, target_key, head, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            hash(&head.key),
            head.id.bits().to_be_bytes(),
            head.uri,
            target.uri().unwrap_or_default(),
            head.method.as_str(),
            head.status.as_u16(),
            head.request_time.as_millis(),
            head.response_time.as_millis(),
            head.usable_until.as_millis(),
            length((row.head.len() + row.body.len() + target.canonical().len()) as u64),
            target.canonical().as_ref(),
            row.head,
            row.body.as_ref(),
        ])?;
    Ok(Published::Stored)
}
