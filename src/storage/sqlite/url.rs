//! `sqlite:PATH?max_bytes=...`, and `sqlite:` for a database in memory.

use std::path::Path;

use super::{SqliteBuilder, SqliteStorage, Synchronous};
use crate::storage::StorageError;
use crate::storage::url::{OptionValue, Options};

impl OptionValue for Synchronous {
    const EXPECTED: &'static str = "`off`, `normal` or `full`";

    fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Normal, Self::Full]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
    }
}

pub(crate) fn from_url(path: &Path, mut options: Options) -> Result<SqliteStorage, StorageError> {
    let builder =
        options.set(SqliteStorage::builder(), "max_bytes", |builder, bytes: u64| builder.max_bytes(bytes))?;
    let builder =
        options.set(builder, "max_entries", |builder, entries: u64| builder.max_entries(entries))?;
    let builder = options.set(builder, "max_body", |builder, bytes: u64| builder.max_body(bytes))?;
    let builder = options.set(builder, "inline_threshold", SqliteBuilder::inline_threshold)?;
    let builder = options.set(builder, "wal", SqliteBuilder::wal)?;
    let builder = options.set(builder, "busy_timeout", SqliteBuilder::busy_timeout)?;
    let builder = options.set(builder, "synchronous", SqliteBuilder::synchronous)?;
    let builder = options.set(builder, "mmap_size", SqliteBuilder::mmap_size)?;
    let builder = options.set(builder, "cache_size", SqliteBuilder::cache_size)?;
    let builder = options.set(builder, "page_size", SqliteBuilder::page_size)?;
    let builder = options.set(builder, "read_only", SqliteBuilder::read_only)?;
    let builder = options.set(builder, "trust_file", SqliteBuilder::trust_file)?;
    let builder = options.set(builder, "readers", SqliteBuilder::readers)?;
    options.finish()?;
    if path.as_os_str().is_empty() { builder.in_memory() } else { builder.open(path) }
}
