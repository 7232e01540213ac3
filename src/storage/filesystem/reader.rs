//! A body out.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::task::JoinHandle;

use crate::entry::{EntryId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{BodyReader, Keyspace, StorageError, StorageErrorKind};

use super::blocking::{joined, spawn};
use super::chunks::ChunkReader;
use super::compact;
use super::dir::open_file;
use super::error::{Doing, NAME, error, not_a_file};
use super::handle::Handle;
use super::json;
use super::layout::{Name, sums_of};
use super::options::Format;
use super::record::{Place, Record};
use super::root::Root;

/// Opens a body by the name that follows from the head, or else by what the record says.
fn open(root: &Root, head: &StoredHead) -> Result<Source, StorageError> {
    let name = Name::of(&head.key);
    let missing = || error(StorageErrorKind::Missing, "opening a body: it is gone");
    let Some(summary) = head.body else { return Err(missing()) };
    let extension = match root.format {
        Format::Compact => compact::EXTENSION.to_owned(),
        Format::Json => json::extension_for(&head.headers),
    };
    if let Some(source) = open_file_of(root, &name.body(head.id, &extension), head, summary.len)? {
        return Ok(source);
    }
    let found = Record::read(root.keyspace(Keyspace::Responses), &name, root.format, false);
    let (record, _) = found.doing("reading a record")?.or_empty();
    let variant = record.position(head.id).and_then(|position| record.variants.into_iter().nth(position));
    match variant.filter(|variant| variant.head.key == head.key).ok_or_else(missing)?.place {
        Place::Inline(body) => Ok(Source::Memory(Some(body).filter(|body| !body.is_empty()))),
        Place::File { extension } => {
            open_file_of(root, &name.body(head.id, &extension), head, summary.len)?.ok_or_else(missing)
        }
    }
}

fn open_file_of(
    root: &Root,
    path: &str,
    head: &StoredHead,
    len: u64,
) -> Result<Option<Source>, StorageError> {
    let open = |path: &str| match open_file(&root.bodies, path) {
        Ok(file) => Ok(Some(file)),
        Err(errno) if not_a_file(errno) => Ok(None),
        Err(errno) => Err(errno),
    };
    let Some(body) = open(path).doing("opening a body")? else { return Ok(None) };
    let sums = match root.format {
        Format::Compact => None,
        Format::Json => match open(&sums_of(path)).doing("opening a body's checksums")? {
            Some(sums) => Some(sums),
            // Bodies are removed before their checksums: both are going at this moment.
            None if open(path).doing("opening a body")?.is_none() => return Ok(None),
            None => return Err(corrupt(Errno::NOENT)),
        },
    };
    match ChunkReader::new(body, sums, head.id, len).doing("opening a body")? {
        Some(reader) => Ok(Some(Source::Chunks(reader))),
        None => Err(corrupt(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file does not have the body's length",
        ))),
    }
}

fn corrupt(cause: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::new(StorageErrorKind::Corrupt, NAME, "reading a body").with_source(cause)
}

/// Where a reader has its bytes from.
#[derive(Debug)]
enum Source {
    Memory(Option<Bytes>),
    Chunks(ChunkReader),
}

type Read = (ChunkReader, io::Result<Option<Bytes>>);

/// Reads a stored body of a [`FileStorage`](super::FileStorage).
///
/// Holds one open file, in the JSON format two, and at most 256 KiB of the body.
pub struct FileReader {
    handle: Handle,
    head: (CacheKey, EntryId),
    source: Option<Source>,
    /// A read under way: kept here, so that a caller that stops waiting and comes back misses nothing.
    reading: Option<JoinHandle<Read>>,
}

impl FileReader {
    pub(super) async fn open(handle: Handle, head: &StoredHead) -> Result<Self, StorageError> {
        let (shared, owned) = (Arc::clone(&handle.shared), head.clone());
        let head = (head.key.clone(), head.id);
        match handle.shared.blocking.quick(move || open(&shared.root(), &owned)).await? {
            Ok(source) => Ok(Self { handle, head, source: Some(source), reading: None }),
            Err(error) => {
                if matches!(error.kind(), StorageErrorKind::Missing | StorageErrorKind::Corrupt) {
                    handle.discard_entry(head).await;
                }
                Err(error)
            }
        }
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").finish_non_exhaustive()
    }
}

impl BodyReader for FileReader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.reading.is_none() {
            let turn = self.handle.shared.blocking.turn().await?;
            match self.source.take() {
                Some(Source::Memory(body)) => {
                    self.source = Some(Source::Memory(None));
                    return Ok(body);
                }
                Some(Source::Chunks(mut reader)) => {
                    self.reading = Some(spawn(turn, move || {
                        let chunk = reader.next();
                        (reader, chunk)
                    })?);
                }
                None => return Err(error(StorageErrorKind::Missing, "reading a body after an error")),
            }
        }
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let read = joined(reading.await);
        self.reading = None;
        let (reader, chunk) = read?;
        match chunk {
            Ok(chunk) => {
                self.source = Some(Source::Chunks(reader));
                Ok(chunk)
            }
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                self.handle.discard_entry(self.head.clone()).await;
                Err(corrupt(cause))
            }
            Err(cause) => Err(cause).doing("reading a body"),
        }
    }
}
