//! The record of one key: all responses stored under it, or its alias.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::io::Errno;

use crate::entry::{EntryId, StoredHead};
use crate::key::CacheKey;

use super::error::not_a_file;
use super::layout::{Name, sums_of};
use super::options::Format;
use super::root::Root;
use super::temp::Temp;
use super::{chunks, compact, json};

/// No record of ours is longer: more is garbage, and nothing is allocated for it.
const MAX_RECORD: u64 = 64 << 20;

/// A read this long after the last one that was noted is noted in the file's access time.
const NOTED: Duration = Duration::from_secs(60);

/// One stored response as its record has it.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) head: Arc<StoredHead>,
    pub(super) place: Place,
    /// The target, for an alias.
    pub(super) target: Option<CacheKey>,
}

/// Where the body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the record.
    Inline(Bytes),
    /// In a file of its own with this extension.
    File {
        /// Without the dot.
        extension: String,
    },
}

/// All responses under one key, from the most recently published on.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) variants: Vec<Variant>,
    /// Those that another version wrote, as they stand in the file: none of ours, and kept.
    pub(super) foreign: Vec<Bytes>,
}

/// Why bytes are no record that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// They are not what was written: to be removed.
    Broken,
    /// The file was written by a version with another layout of it: a miss, but left alone.
    OtherVersion,
}

/// What reading a record file found.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// To be removed.
    Broken,
    /// A version with another layout wrote it: a miss, but left alone.
    OtherVersion {
        len: u64,
    },
    Record {
        record: Record,
        len: u64,
    },
}

impl Found {
    /// The record, empty where there is none that can be used, and the length of its file.
    pub(super) fn or_empty(self) -> (Record, u64) {
        match self {
            Self::Record { record, len } => (record, len),
            Self::Nothing | Self::Broken | Self::OtherVersion { .. } => (Record::default(), 0),
        }
    }
}

impl Record {
    pub(super) fn encode(&self, format: Format) -> io::Result<Vec<u8>> {
        match format {
            Format::Compact => Ok(compact::encode(self)),
            Format::Json => json::encode(self),
        }
    }

    pub(super) fn decode(bytes: &Bytes, format: Format, name: &Name) -> Result<Self, Garbage> {
        match format {
            Format::Compact => compact::decode(bytes),
            Format::Json => json::decode(bytes, name),
        }
    }

    pub(super) fn position(&self, id: EntryId) -> Option<usize> {
        self.variants.iter().position(|variant| variant.head.id == id)
    }

    /// How many there are, those of other versions included: all of them take room.
    pub(super) fn entries(&self) -> u64 {
        (self.variants.len() + self.foreign.len()) as u64
    }

    fn is_empty(&self) -> bool {
        self.variants.is_empty() && self.foreign.is_empty()
    }

    /// Reads the record below `keyspace`. `touch` notes the use for the eviction.
    pub(super) fn read(keyspace: &File, name: &Name, format: Format, touch: bool) -> io::Result<Found> {
        let mut file = match super::dir::open_file(keyspace, &name.record(format)) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(errno) if not_a_file(errno) => return Ok(Found::Broken),
            Err(errno) => return Err(errno.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > MAX_RECORD {
            return Ok(Found::Broken);
        }
        let len = metadata.len();
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Found::Broken);
            }
            Err(error) => return Err(error),
        }
        if touch {
            note_use(&file, &metadata);
        }
        match Self::decode(&Bytes::from(bytes), format, name) {
            Ok(record) => Ok(Found::Record { record, len }),
            Err(Garbage::Broken) => Ok(Found::Broken),
            Err(Garbage::OtherVersion) => Ok(Found::OtherVersion { len }),
        }
    }

    /// Replaces the record's file, or removes it when nothing is left in the record; returns the new length.
    pub(super) fn write(
        &self,
        root: &Arc<Root>,
        keyspace: &File,
        name: &Name,
        sync: bool,
    ) -> io::Result<u64> {
        let path = name.record(root.format);
        if self.is_empty() {
            super::dir::remove_file(keyspace, &path)?;
            return Ok(0);
        }
        let bytes = self.encode(root.format)?;
        if bytes.len() as u64 > MAX_RECORD {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let temp = Temp::create(root)?;
        let mut file = temp.file();
        file.write_all(&bytes)?;
        temp.place(keyspace, &path, sync)?;
        Ok(bytes.len() as u64)
    }
}

impl Variant {
    /// Bytes of the body's own files.
    pub(super) fn outside_len(&self) -> u64 {
        match self.place {
            Place::Inline(_) => 0,
            Place::File { .. } => chunks::stored_len(self.head.body_len()),
        }
    }

    /// The body's own files, relative to the bodies' directory, in the order in which to remove them.
    pub(super) fn files(&self, name: &Name, format: Format) -> Vec<String> {
        match &self.place {
            Place::Inline(_) => Vec::new(),
            Place::File { extension } => {
                let body = name.body(self.head.id, extension);
                match format {
                    Format::Compact => vec![body],
                    Format::Json => {
                        let sums = sums_of(&body);
                        vec![body, sums]
                    }
                }
            }
        }
    }

    pub(super) fn remove_files(&self, root: &Root, name: &Name) -> io::Result<()> {
        for file in self.files(name, root.format) {
            super::dir::remove_file(&root.bodies, &file)?;
        }
        Ok(())
    }
}

/// As a file system mounted `relatime` does, but where it is mounted `noatime` too: the first use after a
/// change is noted, then one a minute. Failing costs only the order of eviction.
fn note_use(file: &File, metadata: &std::fs::Metadata) {
    let (Ok(accessed), Ok(modified)) = (metadata.accessed(), metadata.modified()) else { return };
    let now = SystemTime::now();
    let stale = now.duration_since(accessed).is_ok_and(|since| since > NOTED);
    if accessed <= modified || stale {
        let _ = file.set_times(std::fs::FileTimes::new().set_accessed(now));
    }
}
