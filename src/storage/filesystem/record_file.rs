//! The file of a record: reading it, and replacing it at once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::io::Errno;

use crate::storage::Keyspace;

use super::error::not_a_file;
use super::layout::{Name, fan_name};
use super::options::Format;
use super::record::{Garbage, Record};
use super::root::Root;
use super::temp::Temp;
use super::{compact, dir, json};

/// No record is longer: more is garbage, and nothing is allocated for it.
const MAX_RECORD: u64 = 64 << 20;

/// A read this long after the last one that was noted is noted in the file's access time.
const NOTED: Duration = Duration::from_secs(60);

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

    /// Reads the record below `keyspace`. `touch` notes the use for the eviction.
    pub(super) fn read(keyspace: &File, name: &Name, format: Format, touch: bool) -> io::Result<Found> {
        let mut file = match dir::open_file(keyspace, &name.record(format)) {
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
            dir::remove_file(keyspace, &path)?;
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

/// The names of the records in one fan-out directory, sorted.
pub(super) fn record_names(root: &Root, keyspace: Keyspace, fan: u8) -> io::Result<Vec<Name>> {
    let files = dir::names_in(root.keyspace(keyspace), &fan_name(fan))?;
    let mut names: Vec<_> = files.iter().filter_map(|file| Name::of_record(file, root.format)).collect();
    names.retain(|name| name.fan() == fan);
    names.sort_unstable_by_key(|name| *name.digest());
    Ok(names)
}
