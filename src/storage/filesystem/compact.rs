//! The compact record: one checksum over everything, then each head with its small body behind lengths.
//!
//! `magic · checksum · count · { flags · head length · body length · target length · head · body · target }*`
//!
//! A head says itself which version wrote it, so this frame stays the same when heads change, and what another version
//! stored under the key is carried along as it is.

use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::entry::codec::{self, DecodeError};
use crate::key::CacheKey;

use super::record::{Garbage, Place, Record, Variant};

const MAGIC: &[u8; 7] = b"larderR";
const VERSION: u8 = 1;
/// Where the part under the checksum starts.
const CONTENT: usize = 16;
const INLINE: u8 = 1;
const ALIAS: u8 = 2;
/// The extension of body files.
pub(super) const EXTENSION: &str = "body";

pub(super) fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.resize(CONTENT, 0);
    let count = u16::try_from(record.entries()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for variant in record.variants.iter().take(usize::from(count)) {
        let head = codec::encode(&variant.head);
        let (flag, body) = match &variant.place {
            Place::Inline(body) => (INLINE, body.as_ref()),
            Place::File { .. } => (0, [].as_slice()),
        };
        let target = variant.target.as_ref().map(|target| target.canonical().as_ref());
        out.push(flag | if target.is_some() { ALIAS } else { 0 });
        let target = target.unwrap_or_default();
        for part in [head.as_slice(), body, target] {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        for part in [head.as_slice(), body, target] {
            out.extend_from_slice(part);
        }
    }
    let left = usize::from(count).saturating_sub(record.variants.len());
    for foreign in record.foreign.iter().take(left) {
        out.extend_from_slice(foreign);
    }
    let checksum = xxh3_64(out.get(CONTENT..).unwrap_or_default());
    if let Some(place) = out.get_mut(CONTENT - 8..CONTENT) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    out
}

pub(super) fn decode(bytes: &Bytes) -> Result<Record, Garbage> {
    let mut input = Input { bytes, at: 0 };
    if input.take(MAGIC.len())? != MAGIC {
        return Err(Garbage::Broken);
    }
    let version = input.take(1)? != [VERSION];
    let checksum = input.array().map(u64::from_le_bytes)?;
    if xxh3_64(bytes.get(CONTENT..).ok_or(Garbage::Broken)?) != checksum {
        return Err(Garbage::Broken);
    }
    if version {
        return Err(Garbage::OtherVersion);
    }
    let count = input.array().map(u16::from_le_bytes)?;
    let mut record = Record::default();
    for _ in 0..count {
        let start = input.at;
        match decode_variant(&mut input)? {
            Some(variant) => record.variants.push(variant),
            None => record.foreign.push(bytes.slice(start..input.at)),
        }
    }
    if input.at == bytes.len() { Ok(record) } else { Err(Garbage::Broken) }
}

/// `None` where another version wrote the head.
fn decode_variant(input: &mut Input<'_>) -> Result<Option<Variant>, Garbage> {
    let [flags] = input.array()?;
    let mut length = || input.array().map(|length| u32::from_le_bytes(length) as usize);
    let (head, body, target) = (length()?, length()?, length()?);
    let (head, body, target) = (input.slice(head)?, input.slice(body)?, input.slice(target)?);
    let head = match codec::decode(&head) {
        Ok(head) => head,
        Err(DecodeError::Version(_)) => return Ok(None),
        Err(_) => return Err(Garbage::Broken),
    };
    let place = if flags & INLINE == 0 {
        Place::File { extension: EXTENSION.to_owned() }
    } else if body.len() as u64 == head.body_len() {
        Place::Inline(body)
    } else {
        return Err(Garbage::Broken);
    };
    let target = match flags & ALIAS {
        0 => None,
        _ => Some(CacheKey::from_canonical(target).ok_or(Garbage::Broken)?),
    };
    Ok(Some(Variant { head: Arc::new(head), place, target }))
}

struct Input<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Input<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], Garbage> {
        let end = self.at.checked_add(len).ok_or(Garbage::Broken)?;
        let taken = self.bytes.get(self.at..end).ok_or(Garbage::Broken)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbage> {
        self.take(N)?.try_into().map_err(|_| Garbage::Broken)
    }

    fn slice(&mut self, len: usize) -> Result<Bytes, Garbage> {
        let start = self.at;
        self.take(len)?;
        Ok(self.bytes.slice(start..self.at))
    }
}
