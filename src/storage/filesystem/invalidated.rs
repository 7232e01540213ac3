//! The file of invalidations: how many there were, and the number of the last one of every few groups.
//!
//! A header with two numbers, then [`SLOTS`] numbers, every one with a checksum that is seeded with its place, everything
//! 64-bit little endian. Lookups read one number, and a slot only where that number says that something happened since
//! the response was stored. Writing needs the file's own lock; it never makes the file a new one.
//!
//! A number that was torn, zeroed or flipped is found by its checksum, and what it would have decided is invalidated.
//! Where the file was lost while responses are stored, it starts at a random number: what carries any other number than
//! those counted since then is invalidated. So nothing is ever used because of damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::entry::{GroupId, StoredHead};

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
const SLOTS: u32 = 1 << 14;

const MAGIC: [u8; 8] = *b"larderI1";
const HEADER: usize = 64;
/// A number and its checksum.
const NUMBER: usize = 16;
const LEN: usize = HEADER + SLOTS as usize * NUMBER;

/// Where the number of invalidations is.
const COUNT_AT: u64 = 16;
/// Where the least number is that a response may carry.
const FLOOR_AT: u64 = 32;

/// Seeds the checksums.
const SEED: u64 = u64::from_le_bytes(MAGIC);

/// How many invalidations there were, and the least number that a response may carry; `None` where it is damaged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    count: Option<u64>,
    floor: Option<u64>,
}

impl Counted {
    /// The count that a lookup returns. If it is unknown, it is 0, which is before all invalidations.
    pub(super) fn as_of(self) -> u64 {
        self.count.unwrap_or(0)
    }

    pub(super) fn is_damaged(self) -> bool {
        self.count.is_none() || self.floor.is_none()
    }
}

#[derive(Debug)]
pub(super) struct Invalidations {
    file: File,
}

impl Invalidations {
    /// A file for a directory in which nothing is stored, or whose invalidations are unknown.
    pub(super) fn initial(new: bool) -> Vec<u8> {
        let start = start();
        let floor = if new { 0 } else { start };
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.resize(COUNT_AT as usize, 0);
        bytes.extend_from_slice(&sealed(COUNT_AT, start));
        bytes.extend_from_slice(&sealed(FLOOR_AT, floor));
        bytes.resize(HEADER, 0);
        for slot in 0..SLOTS {
            bytes.extend_from_slice(&sealed(slot_at(slot), 0));
        }
        bytes
    }

    /// Takes a file of this layout; `None` when it is none.
    pub(super) fn from_file(file: File) -> io::Result<Option<Self>> {
        let mut magic = [0; MAGIC.len()];
        let metadata = file.metadata()?;
        if metadata.len() != LEN as u64 || !metadata.is_file() {
            return Ok(None);
        }
        file.read_exact_at(&mut magic, 0)?;
        Ok((magic == MAGIC).then_some(Self { file }))
    }

    /// Whether the file is still in the directory, and so the one that others write to.
    pub(super) fn is_linked(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }

    /// The numbers of the header, in one read.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        let mut bytes = [0; 2 * NUMBER];
        if !self.read(&mut bytes, COUNT_AT)? {
            return Ok(Counted { count: None, floor: None });
        }
        let (count, floor) = bytes.split_at(NUMBER);
        Ok(Counted { count: opened(COUNT_AT, count), floor: opened(FLOOR_AT, floor) })
    }

    /// Whether one of the response's groups was invalidated since the lookup that led to it. What was `counted` may be
    /// from before the response was read.
    pub(super) fn cover(&self, head: &StoredHead, mut counted: Counted) -> io::Result<bool> {
        if counted.count.is_some_and(|count| count < head.as_of) {
            // It may have been stored since.
            counted = self.counted()?;
        }
        let Counted { count: Some(count), floor: Some(floor) } = counted else { return Ok(true) };
        if !(floor..=count).contains(&head.as_of) {
            // No current lookup returned this number: it is from before the file was lost.
            return Ok(true);
        }
        if head.as_of == count {
            return Ok(false);
        }
        for group in head.group_ids() {
            let latest = self.number(slot_at(group.slot(SLOTS)))?;
            if latest.is_none_or(|latest| latest > head.as_of) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts an invalidation, and gives its number to the groups. Needs the lock.
    pub(super) fn add(&self, groups: &[GroupId], sync: bool) -> io::Result<()> {
        let number = match self.repair()? {
            Counted { count: Some(count), .. } => count.saturating_add(1),
            Counted { count: None, .. } => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        // The count first: a reader of it asks the origin after this moment, and stores what is from after it.
        self.put(COUNT_AT, number)?;
        for group in groups {
            self.put(slot_at(group.slot(SLOTS)), number)?;
        }
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Starts anew where a number of the header is damaged: everything stored before is invalidated then. Needs the
    /// lock.
    pub(super) fn repair(&self) -> io::Result<Counted> {
        let counted = self.counted()?;
        if counted.count.is_some() && counted.floor.is_some() {
            return Ok(counted);
        }
        let start = start();
        // The floor first: until the count is right, everything is invalidated anyway.
        self.put(FLOOR_AT, start)?;
        self.put(COUNT_AT, start)?;
        self.counted()
    }

    /// The number at this place; `None` when it is not what was written.
    fn number(&self, at: u64) -> io::Result<Option<u64>> {
        let mut bytes = [0; NUMBER];
        Ok(if self.read(&mut bytes, at)? { opened(at, &bytes) } else { None })
    }

    /// Whether all of it was there: the file can be cut off while it is open.
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<bool> {
        match self.file.read_exact_at(bytes, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put(&self, at: u64, number: u64) -> io::Result<()> {
        self.file.write_all_at(&sealed(at, number), at)
    }
}

/// A number that no lookup returned before. It is exact in every reader of JSON.
fn start() -> u64 {
    fastrand::u64(1..=1 << 52)
}

/// The number in these bytes of this place, if its checksum is right.
fn opened(at: u64, bytes: &[u8]) -> Option<u64> {
    let number = bytes.first_chunk().copied().map(u64::from_le_bytes)?;
    (sealed(at, number) == bytes).then_some(number)
}

/// A number with its checksum. A number that belongs to another place does not pass.
fn sealed(at: u64, number: u64) -> [u8; NUMBER] {
    let mut bytes = [0; NUMBER];
    let sum = xxh3_64_with_seed(&number.to_le_bytes(), SEED ^ at);
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&number.to_le_bytes());
    second.copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn slot_at(slot: u32) -> u64 {
    (HEADER + slot as usize * NUMBER) as u64
}
