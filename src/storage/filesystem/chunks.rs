//! Large bodies: plain bytes in a file, with a checksum for each chunk of 64 KiB.
//!
//! In the compact format the checksums follow the body in its file; in the JSON format they are a file of their
//! own, so that the body's file is just the body. A checksum is seeded with the id and the chunk's
//! number: a chunk that belongs elsewhere does not pass.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::entry::{BodySummary, EntryId};

use super::options::Format;
use super::root::Root;
use super::temp::Temp;

pub(super) const CHUNK: usize = 64 << 10;
/// Chunks read at a time.
const READ: usize = 4;

/// Bytes of all files of a body of this length.
pub(super) fn stored_len(body: u64) -> u64 {
    body.saturating_add(sums_len(body))
}

fn sums_len(body: u64) -> u64 {
    body.div_ceil(CHUNK as u64) * 8
}

fn sum(id: EntryId, chunk: u64, bytes: &[u8]) -> u64 {
    let id = id.bits();
    let seed = (id as u64) ^ ((id >> 64) as u64).rotate_left(32) ^ chunk;
    xxh3_64_with_seed(bytes, seed)
}

/// Writes a body into a temporary file, whole chunks at a time.
pub(super) struct ChunkWriter {
    temp: Temp,
    id: EntryId,
    len: u64,
    sums: Vec<u8>,
    whole: Xxh3,
}

impl ChunkWriter {
    pub(super) fn create(root: &Arc<Root>, id: EntryId) -> io::Result<Self> {
        Ok(Self { temp: Temp::create(root)?, id, len: 0, sums: Vec::new(), whole: Xxh3::new() })
    }

    /// Appends. Every call but the last must bring whole chunks.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let first = self.len / CHUNK as u64;
        for (number, chunk) in (first..).zip(bytes.chunks(CHUNK)) {
            self.sums.extend_from_slice(&sum(self.id, number, chunk).to_le_bytes());
        }
        self.whole.update(bytes);
        self.temp.file().write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn root(&self) -> &Arc<Root> {
        self.temp.root()
    }

    /// Completes the file or files; they still have temporary names.
    pub(super) fn finish(self) -> io::Result<Written> {
        let summary = BodySummary { len: self.len, checksum: self.whole.digest() };
        let sums = match self.temp.root().format {
            Format::Compact => {
                self.temp.file().write_all(&self.sums)?;
                None
            }
            Format::Json => {
                let sums = Temp::create(self.temp.root())?;
                sums.file().write_all(&self.sums)?;
                Some(sums)
            }
        };
        Ok(Written { body: self.temp, sums, summary })
    }
}

/// A complete body that is not yet in its place.
pub(super) struct Written {
    pub(super) body: Temp,
    pub(super) sums: Option<Temp>,
    pub(super) summary: BodySummary,
}

impl Written {
    pub(super) fn place(self, root: &Root, relative: &str, sync: bool) -> io::Result<()> {
        if let Some(sums) = self.sums {
            sums.place(&root.bodies, &super::layout::sums_of(relative), sync)?;
        }
        self.body.place(&root.bodies, relative, sync)
    }
}

/// Reads a body from its file, verified chunk by chunk. The open file keeps its bytes even if its name is removed.
#[derive(Debug)]
pub(super) struct ChunkReader {
    body: File,
    /// The file of the checksums, if it is another one.
    sums: Option<File>,
    id: EntryId,
    len: u64,
    at: u64,
}

impl ChunkReader {
    /// `None` when the files have not the length that the head promises.
    pub(super) fn new(body: File, sums: Option<File>, id: EntryId, len: u64) -> io::Result<Option<Self>> {
        let expected = match &sums {
            None => len.checked_add(sums_len(len)),
            Some(sums) => {
                Some(len).filter(|_| sums.metadata().is_ok_and(|found| found.len() == sums_len(len)))
            }
        };
        let metadata = body.metadata()?;
        let right = metadata.is_file() && Some(metadata.len()) == expected;
        Ok(right.then_some(Self { body, sums, id, len, at: 0 }))
    }

    /// The next chunks; `None` inside for the end, `Err` of kind `InvalidData` when they are not what was written.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let left = self.len - self.at;
        if left == 0 {
            return Ok(None);
        }
        // The first read is small, so that it is there soon.
        let chunks = if self.at == 0 { 1 } else { READ };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(chunks * CHUNK);
        let mut bytes = vec![0; wanted];
        self.body.read_exact_at(&mut bytes, self.at).map_err(short_is_corrupt)?;
        let first = self.at / CHUNK as u64;
        let mut sums = vec![0; wanted.div_ceil(CHUNK) * 8];
        let (file, start) = self.sums.as_ref().map_or((&self.body, self.len), |sums| (sums, 0));
        file.read_exact_at(&mut sums, start + first * 8).map_err(short_is_corrupt)?;
        for ((number, chunk), written) in (first..).zip(bytes.chunks(CHUNK)).zip(sums.chunks_exact(8)) {
            if sum(self.id, number, chunk).to_le_bytes() != written {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk's checksum is wrong"));
            }
        }
        self.at += wanted as u64;
        Ok(Some(bytes.into()))
    }
}

fn short_is_corrupt(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::new(io::ErrorKind::InvalidData, "the file is too short");
    }
    error
}
