//! Looking up, opening bodies, and listing.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::task::JoinHandle;

use crate::entry::{Alias, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::storage::{BodyReader, Cursor, Keyspace, Lookup, Page, StorageError, StorageErrorKind};

use super::FileStorage;
use super::blocking::{joined, spawn};
use super::chunks::BlockReader;
use super::compact;
use super::dir::open_file;
use super::error::{BACKEND, Doing, error, not_a_file};
use super::groups::Counted;
use super::json;
use super::layout::{ALIASES, BODIES, Name, RESPONSES, sums_of};
use super::maintain::{fans, record_names};
use super::options::Format;
use super::record::{Found, Place, Record, Variant};
use super::root::Root;

/// What a lookup found, and what it found broken.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) lookup: Lookup,
    /// In which keyspaces the key's record is broken.
    pub(super) broken: Vec<Keyspace>,
    /// Whether the count of invalidations is damaged.
    pub(super) uncounted: bool,
}

pub(super) fn lookup(root: &Root, key: &CacheKey, name: &Name) -> io::Result<Looked> {
    // Fence and count come first: what is removed or invalidated after these lines is noticed when the answer is
    // stored.
    let (fence, counters) = root.state.glance(name)?;
    let counted = root.invalidated.counted()?;
    let mut broken = Vec::new();
    let mut read = |keyspace| {
        Ok::<_, io::Error>(match Record::read(root.keyspace(keyspace), name, root.format, true)? {
            Found::Record { record, .. } => record,
            Found::Broken => {
                broken.push(keyspace);
                Record::default()
            }
            Found::Nothing | Found::OtherVersion { .. } => Record::default(),
        })
    };
    let responses = read(Keyspace::Responses)?;
    // Most caches have few aliases: looking for a file that is not there costs as much as the rest.
    let may_have_alias = counters.dirty || counters.aliases > 0;
    let aliases = if may_have_alias { read(Keyspace::Aliases)? } else { Record::default() };
    let responses = responses
        .variants
        .into_iter()
        .filter(|variant| variant.head.key == *key && variant.target.is_none())
        .map(|variant| response(root, variant, counted))
        .collect::<io::Result<_>>()?;
    let alias = aliases.variants.into_iter().find(|variant| variant.head.key == *key);
    let alias = alias.map(|variant| to_alias(root, variant, counted)).transpose()?.flatten().map(Arc::new);
    let lookup = Lookup { responses, alias, fence, as_of: counted.as_of() };
    Ok(Looked { lookup, broken, uncounted: counted.is_damaged() })
}

fn response(root: &Root, variant: Variant, counted: Counted) -> io::Result<StoredResponse> {
    let invalidated = root.invalidated.cover(&variant.head, counted)?;
    let body = match variant.place {
        Place::Inline(body) => StoredBody::Inline(body),
        Place::File { .. } => StoredBody::Streamed,
    };
    Ok(StoredResponse { head: variant.head, body, invalidated })
}

fn to_alias(root: &Root, mut variant: Variant, counted: Counted) -> io::Result<Option<Alias>> {
    let Some(target) = variant.target.take() else { return Ok(None) };
    Ok(Some(Alias { response: response(root, variant, counted)?, target }))
}

/// Opens a body by the name that follows from the head, or else by what the record says.
pub(super) fn open(root: &Root, head: &StoredHead) -> Result<Source, StorageError> {
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
    match BlockReader::new(body, sums, head.id, len).doing("opening a body")? {
        Some(reader) => Ok(Some(Source::Blocks(reader))),
        None => {
            Err(corrupt(io::Error::new(io::ErrorKind::InvalidData, "the file has not the body's length")))
        }
    }
}

fn corrupt(cause: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::new(StorageErrorKind::Corrupt, BACKEND, "reading a body").with_source(cause)
}

/// Where a reader has its bytes from.
#[derive(Debug)]
pub(super) enum Source {
    Memory(Option<Bytes>),
    Blocks(BlockReader),
}

type Read = (BlockReader, io::Result<Option<Bytes>>);

/// Reads a stored body of a [`FileStorage`].
///
/// Holds one open file, in the JSON format two, and at most one piece of 256 KiB.
pub struct FileReader {
    storage: FileStorage,
    head: (CacheKey, crate::entry::EntryId),
    source: Option<Source>,
    /// A read under way: kept here, so that a caller that stops waiting and comes back misses nothing.
    reading: Option<JoinHandle<Read>>,
}

impl FileReader {
    pub(super) fn new(storage: FileStorage, head: &StoredHead, source: Source) -> Self {
        Self { storage, head: (head.key.clone(), head.id), source: Some(source), reading: None }
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
            let turn = self.storage.shared.blocking.turn().await?;
            match self.source.take() {
                Some(Source::Memory(body)) => {
                    self.source = Some(Source::Memory(None));
                    return Ok(body);
                }
                Some(Source::Blocks(mut reader)) => {
                    self.reading = Some(spawn(turn, move || {
                        let piece = reader.next();
                        (reader, piece)
                    })?);
                }
                None => return Err(error(StorageErrorKind::Missing, "reading a body after an error")),
            }
        }
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let read = joined(reading.await);
        self.reading = None;
        let (reader, piece) = read?;
        match piece {
            Ok(piece) => {
                self.source = Some(Source::Blocks(reader));
                Ok(piece)
            }
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                self.storage.drop_entry(self.head.clone()).await;
                Err(corrupt(cause))
            }
            Err(cause) => Err(cause).doing("reading a body"),
        }
    }
}

/// One page of variants, by digest and id.
pub(super) fn page(
    root: &Root,
    keyspace: Keyspace,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<Variant>, StorageError> {
    let after = match after {
        None => None,
        Some(Cursor(bytes)) => Some(<[u8; 48]>::try_from(bytes.as_ref()).map_err(|_| {
            error(StorageErrorKind::Invalid, "listing: the cursor is not one of this storage")
        })?),
    };
    let first = after.and_then(|after| after.first().copied()).unwrap_or_default();
    let mut page = Page { items: Vec::new(), next: None };
    let mut last = None;
    for fan in fans().skip_while(|fan| *fan < first) {
        for name in record_names(root, keyspace, fan).doing("listing")? {
            if after
                .is_some_and(|after| after.get(..32).is_some_and(|after| name.digest().as_slice() < after))
            {
                continue;
            }
            let found = Record::read(root.keyspace(keyspace), &name, root.format, false).doing("listing")?;
            let (mut record, _) = found.or_empty();
            record.variants.sort_unstable_by_key(|variant| variant.head.id);
            for variant in record.variants {
                let place = place_of(&name, &variant);
                if after.is_some_and(|after| place <= after) || Name::of(&variant.head.key) != name {
                    continue;
                }
                if page.items.len() >= limit {
                    page.next = last.map(|last: [u8; 48]| Cursor(Bytes::copy_from_slice(&last)));
                    return Ok(page);
                }
                last = Some(place);
                page.items.push(variant);
            }
        }
    }
    Ok(page)
}

fn place_of(name: &Name, variant: &Variant) -> [u8; 48] {
    let mut place = [0; 48];
    let (digest, id) = place.split_at_mut(32);
    digest.copy_from_slice(name.digest());
    id.copy_from_slice(&variant.head.id.bits().to_be_bytes());
    place
}

pub(super) fn aliases(root: &Root, page: Page<Variant>) -> io::Result<Page<Alias>> {
    let counted = root.invalidated.counted()?;
    let items = page.items.into_iter().filter_map(|variant| to_alias(root, variant, counted).transpose());
    Ok(Page { items: items.collect::<io::Result<_>>()?, next: page.next })
}

/// The files of one key.
pub(super) fn paths_of(root: &Root, name: &Name) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (keyspace, dir) in [(Keyspace::Responses, RESPONSES), (Keyspace::Aliases, ALIASES)] {
        let Found::Record { record, .. } = Record::read(root.keyspace(keyspace), name, root.format, false)?
        else {
            continue;
        };
        paths.push(root.path().join(dir).join(name.record(root.format)));
        for variant in &record.variants {
            paths.extend(
                variant.files(name, root.format).iter().map(|file| root.path().join(BODIES).join(file)),
            );
        }
    }
    Ok(paths)
}

/// The files of all keys.
pub(super) fn paths(root: &Root) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for fan in fans() {
        let mut names = record_names(root, Keyspace::Responses, fan)?;
        names.extend(record_names(root, Keyspace::Aliases, fan)?);
        names.sort_unstable_by_key(|name| *name.digest());
        names.dedup();
        for name in names {
            paths.extend(paths_of(root, &name)?);
        }
    }
    Ok(paths)
}
