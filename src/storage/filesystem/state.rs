//! The file of numbers that all processes share: fences against late fills, and how much is stored.
//!
//! The header says which program the directory belongs to and in which format, in case the marker is lost. A version with
//! another layout of the directory has another magic. Then follow the counters and sixteen fences of each fan-out
//! directory. Everything is 64-bit little endian at fixed places, read and written with single small calls. Fences start
//! at random numbers. So a file that was lost and created again matches no earlier fence. Writing needs the fan-out directory's lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::storage::{Fence, Keyspace};

use super::layout::{FANS, Name};
use super::options::Format;

const MAGIC: [u8; 8] = *b"larderS1";
const HEADER: usize = 64;
const COUNTERS: usize = 32;
const FENCES: usize = 16;
const FAN: usize = COUNTERS + FENCES * 8;
const LEN: usize = HEADER + FANS * FAN;

/// What is stored in one fan-out directory of each keyspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Set while a change is under way. Found set under the lock, it tells that a writer died: count again. It is a
    /// number, another one for each change.
    pub(super) dirty: bool,
    pub(super) responses: u64,
    pub(super) aliases: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct State {
    file: File,
}

impl State {
    /// The numbers of an empty directory, or of one that has to be counted first.
    pub(super) fn initial(dirty: bool, format: Format) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&format_code(format));
        bytes.resize(HEADER, 0);
        for _ in 0..FANS {
            bytes.extend_from_slice(&Counters { dirty, ..Counters::default() }.to_bytes());
            for _ in 0..FENCES {
                // Far from overflow, and never the 0 of a zeroed file.
                bytes.extend_from_slice(&(fastrand::u64(1..=u64::MAX >> 1)).to_le_bytes());
            }
        }
        bytes
    }

    /// Takes a file that holds such numbers; `None` when it does not.
    pub(super) fn from_file(file: File) -> io::Result<Option<Self>> {
        let mut magic = [0; 8];
        let metadata = file.metadata()?;
        if metadata.len() != LEN as u64 || !metadata.is_file() {
            return Ok(None);
        }
        file.read_exact_at(&mut magic, 0)?;
        Ok((magic == MAGIC).then_some(Self { file }))
    }

    /// The format of what is stored; `None` where an earlier version made the file, or the name is damaged.
    pub(super) fn format(&self) -> Option<Format> {
        let mut code = [0; 8];
        self.file.read_exact_at(&mut code, MAGIC.len() as u64).ok()?;
        [Format::Compact, Format::Json].into_iter().find(|format| format_code(*format) == code)
    }

    /// Whether the file is still in the directory.
    pub(super) fn is_linked(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }

    pub(super) fn fence(&self, name: &Name) -> io::Result<Fence> {
        let mut number = [0; 8];
        self.file.read_exact_at(&mut number, fence_at(name.fan(), name.fence_slot()))?;
        Ok(Fence(u64::from_le_bytes(number)))
    }

    /// The fence of a key and what its fan-out directory holds, in one read.
    pub(super) fn glance(&self, name: &Name) -> io::Result<(Fence, Counters)> {
        let mut bytes = [0; FAN];
        self.file.read_exact_at(&mut bytes, counters_at(name.fan()))?;
        let (counters, fences) = bytes.split_at(COUNTERS);
        let number = fences.chunks_exact(8).nth(usize::from(name.fence_slot()));
        let number = number.and_then(|number| number.try_into().ok()).map(u64::from_le_bytes);
        Ok((Fence(number.unwrap_or_default()), Counters::from_bytes(counters)))
    }

    /// Refuses from now on what carries an older fence for this key.
    pub(super) fn raise(&self, name: &Name) -> io::Result<()> {
        let next = raised(self.fence(name)?);
        self.file.write_all_at(&next.to_le_bytes(), fence_at(name.fan(), name.fence_slot()))
    }

    /// As [`raise`](Self::raise), for every key of the fan-out directory.
    pub(super) fn raise_fan(&self, fan: u8) -> io::Result<()> {
        let mut numbers = [0; FENCES * 8];
        self.file.read_exact_at(&mut numbers, fence_at(fan, 0))?;
        let mut next = Vec::with_capacity(numbers.len());
        for number in numbers.chunks_exact(8) {
            let number = number.try_into().map(u64::from_le_bytes).unwrap_or_default();
            next.extend_from_slice(&raised(Fence(number)).to_le_bytes());
        }
        self.file.write_all_at(&next, fence_at(fan, 0))
    }

    pub(super) fn counters(&self, fan: u8) -> io::Result<Counters> {
        let mut bytes = [0; COUNTERS];
        self.file.read_exact_at(&mut bytes, counters_at(fan))?;
        Ok(Counters::from_bytes(&bytes))
    }

    /// The number of the change that is under way, 0 between two of them.
    pub(super) fn turn(&self, fan: u8) -> io::Result<u64> {
        let mut number = [0; 8];
        self.file.read_exact_at(&mut number, counters_at(fan))?;
        Ok(u64::from_le_bytes(number))
    }

    pub(super) fn set_counters(&self, fan: u8, counters: Counters) -> io::Result<()> {
        self.file.write_all_at(&counters.to_bytes(), counters_at(fan))
    }

    /// The counters of all fan-out directories, in their order.
    pub(super) fn all_counters(&self) -> io::Result<Vec<Counters>> {
        let mut bytes = vec![0; FANS * FAN];
        self.file.read_exact_at(&mut bytes, HEADER as u64)?;
        Ok(bytes.chunks_exact(FAN).map(Counters::from_bytes).collect())
    }
}

impl Counters {
    pub(super) fn entries(&mut self, keyspace: Keyspace) -> &mut u64 {
        match keyspace {
            Keyspace::Responses => &mut self.responses,
            Keyspace::Aliases => &mut self.aliases,
        }
    }

    fn to_bytes(self) -> [u8; COUNTERS] {
        let mut bytes = [0; COUNTERS];
        let turn = if self.dirty { fastrand::u64(1..) } else { 0 };
        let numbers = [turn, self.responses, self.aliases, self.bytes];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut numbers =
            bytes.chunks_exact(8).map(|number| number.try_into().map(u64::from_le_bytes).unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        Self { dirty: next() != 0, responses: next(), aliases: next(), bytes: next() }
    }
}

/// Far from each other, so that no few flipped bits make one of the other.
fn format_code(format: Format) -> [u8; 8] {
    match format {
        Format::Compact => *b"compact ",
        Format::Json => *b"json    ",
    }
}

fn raised(fence: Fence) -> u64 {
    // A zeroed file holds 0: start again from a number that no lookup returned.
    if fence.0 == 0 { fastrand::u64(1..=u64::MAX >> 1) } else { fence.0.wrapping_add(1).max(1) }
}

fn counters_at(fan: u8) -> u64 {
    (HEADER + usize::from(fan) * FAN) as u64
}

fn fence_at(fan: u8, slot: u8) -> u64 {
    counters_at(fan) + COUNTERS as u64 + u64::from(slot) * 8
}
