//! The beginning of everything encoded: its form, its version and its checksum.

use xxhash_rust::xxh3::xxh3_64;

use super::bytes_io::{Input, Output};
use crate::entry::error::DecodeError;

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u8 = 2;

pub(super) const HEAD_MAGIC: [u8; 3] = *b"ldh";
pub(super) const ALIAS_MAGIC: [u8; 3] = *b"lda";
const PREAMBLE_LEN: usize = 12;
const CHECKSUM_AT: usize = 4;

pub(super) fn with_preamble(out: &mut Output, magic: [u8; 3], write: impl FnOnce(&mut Output)) {
    let start = out.len_written();
    out.raw(&magic);
    out.byte(VERSION);
    out.fixed_u64(0);
    write(out);
    let checksum = xxh3_64(out.written_from(start + PREAMBLE_LEN));
    out.patch(start + CHECKSUM_AT, &checksum.to_le_bytes());
}

pub(super) fn read_preamble(input: &mut Input<'_>, magic: [u8; 3]) -> Result<(), DecodeError> {
    if input.array()? != magic {
        return Err(DecodeError::Corrupt);
    }
    let version = input.byte()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let checksum = input.fixed_u64()?;
    if xxh3_64(input.rest()) == checksum { Ok(()) } else { Err(DecodeError::Corrupt) }
}
