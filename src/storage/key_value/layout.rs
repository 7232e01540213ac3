//! What stands in the values: a record under each key, with its responses and the mark of its last removal; chunks of
//! large bodies; and numbers.
//!
//! ```text
//! "ldk" version mark(8) removed_at(8) variants...
//! variant: 0 length(4) head and body | 1 started(8) length(4) head
//! ```
//!
//! A chunk is named by the key's digest, the second in which its body was begun, the body's id and its number. Its value
//! is its checksum followed by up to 256 KiB.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Timestamp;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{EntryId, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::random;
use crate::storage::Fence;
use crate::storage::kit::{Row, row};

const MAGIC: &[u8] = b"ldk";
const VERSION: u8 = 1;
const INLINE: u8 = 0;
const STREAMED: u8 = 1;
/// The most variants kept under one key.
const MAX_VARIANTS: usize = 16;
/// The length of every chunk but the last.
pub(super) const CHUNK: usize = 256 * 1024;

#[derive(Default)]
pub(super) struct Record {
    /// Drawn anew by every removal; 0 where nothing was ever removed.
    mark: u64,
    removed_at: Timestamp,
    /// From the most recently published on, those of other versions included.
    pub(super) variants: Vec<Variant>,
    /// The value was written by a version with another layout of it. Nothing is stored over it: two versions that share a
    /// store must not erase each other's entries.
    pub(super) other_layout: bool,
}

pub(super) enum Variant {
    /// A head with its body.
    Inline(Bytes),
    /// A head whose body stands in values of its own, which were begun at this time (seconds).
    Streamed { started: u64, head: Bytes },
}

impl Record {
    /// What stays after a removal.
    pub(super) fn removed(at: Timestamp) -> Self {
        Self { mark: random::nonzero64(), removed_at: at, ..Self::default() }
    }

    /// The fence of a lookup that found this record.
    pub(super) fn fence(&self, epoch: u64) -> Fence {
        let mut both = [0; 16];
        both[..8].copy_from_slice(&self.mark.to_le_bytes());
        both[8..].copy_from_slice(&epoch.to_le_bytes());
        Fence(xxh3_64(&both))
    }

    /// Whether the record says nothing, so that it need not be stored.
    pub(super) fn is_blank(&self) -> bool {
        self.mark == 0 && self.variants.is_empty()
    }

    /// Whether it says nothing but that something was removed before `time`.
    pub(super) fn is_removal_before(&self, time: Timestamp) -> bool {
        !self.other_layout && self.variants.is_empty() && self.removed_at < time
    }

    /// Whether another version wrote some of what stands here, and may have bodies that only it can name.
    pub(super) fn is_shared(&self) -> bool {
        self.other_layout || self.variants.iter().any(Variant::is_foreign)
    }

    /// Adds a variant in place of those it replaces, which are given back.
    pub(super) fn publish(&mut self, head: &StoredHead, variant: Variant) -> Vec<Variant> {
        let (mut kept, mut gone): (Vec<_>, Vec<_>) =
            self.variants.drain(..).partition(|old| match old.read_head() {
                Row::Found(old) => !head.replaces(&old),
                // It counts, so that two versions together keep the limit.
                Row::OtherVersion => true,
                Row::Garbage => false,
            });
        kept.insert(0, variant);
        gone.extend(kept.drain(MAX_VARIANTS.min(kept.len())..));
        self.variants = kept;
        gone
    }

    pub(super) fn encode(&self) -> Bytes {
        let len: usize = self.variants.iter().map(|variant| 13 + variant.bytes().len()).sum();
        let mut out = BytesMut::with_capacity(MAGIC.len() + 16 + len);
        out.put_slice(MAGIC);
        out.put_u8(VERSION);
        out.put_u64_le(self.mark);
        out.put_i64_le(self.removed_at.as_millis());
        for variant in &self.variants {
            match variant {
                Variant::Inline(_) => out.put_u8(INLINE),
                Variant::Streamed { started, .. } => {
                    out.put_u8(STREAMED);
                    out.put_u64_le(*started);
                }
            }
            out.put_u32_le(u32::try_from(variant.bytes().len()).unwrap_or(u32::MAX));
            out.put_slice(variant.bytes());
        }
        out.freeze()
    }

    /// Garbage is a record with nothing under it, but with a mark of its own: the fills that saw it may replace it.
    pub(super) fn decode(value: &Bytes) -> Self {
        Self::read(value.clone()).unwrap_or_else(|| Self { mark: xxh3_64(value).max(1), ..Self::default() })
    }

    fn read(mut value: Bytes) -> Option<Self> {
        if !value.starts_with(MAGIC) {
            return None;
        }
        value.advance(MAGIC.len());
        if value.try_get_u8().ok()? != VERSION {
            return Some(Self { mark: xxh3_64(&value).max(1), other_layout: true, ..Self::default() });
        }
        let mark = value.try_get_u64_le().ok()?;
        let removed_at = Timestamp::from_millis(value.try_get_i64_le().ok()?);
        let mut variants = Vec::new();
        while value.has_remaining() {
            let variant = match value.get_u8() {
                INLINE => Variant::Inline(blob(&mut value)?),
                STREAMED => {
                    let started = value.try_get_u64_le().ok()?;
                    Variant::Streamed { started, head: blob(&mut value)? }
                }
                _ => return None,
            };
            variants.push(variant);
        }
        Some(Self { mark, removed_at, variants, other_layout: false })
    }
}

fn blob(value: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(value.try_get_u32_le().ok()?).ok()?;
    (len <= value.len()).then(|| value.split_to(len))
}

impl Variant {
    /// The head, without verifying a body that comes with it; `None` where there is none of this version.
    pub(super) fn head(&self) -> Option<StoredHead> {
        self.read_head().found()
    }

    /// Whether another version wrote it: a miss, but left alone.
    pub(super) fn is_foreign(&self) -> bool {
        self.read_head().is_other_version()
    }

    fn read_head(&self) -> Row<StoredHead> {
        match self.split() {
            Ok((head, _)) => row::head(&head, None),
            Err(error) => Row::of(Err(error)),
        }
    }

    /// The response, if it is whole and stored under this key.
    pub(super) fn response(&self, key: &CacheKey) -> Option<StoredResponse> {
        let (head, body) = self.split().ok()?;
        row::response(&head, body, Some(key)).found()
    }

    /// The encoded head, and the body that stands with it.
    fn split(&self) -> Result<(Bytes, Option<Bytes>), DecodeError> {
        match self {
            Self::Inline(bytes) => codec::split_body(bytes).map(|(head, body)| (head, Some(body))),
            Self::Streamed { head, .. } => Ok((head.clone(), None)),
        }
    }

    /// The same body under another head.
    pub(super) fn freshened(&self, head: &StoredHead) -> Self {
        match self {
            Self::Inline(bytes) => {
                let body = codec::split_body(bytes).map(|(_, body)| body).unwrap_or_default();
                Self::Inline(codec::encode_with_body(head, &body).into())
            }
            Self::Streamed { started, .. } => {
                Self::Streamed { started: *started, head: codec::encode(head).into() }
            }
        }
    }

    fn bytes(&self) -> &Bytes {
        match self {
            Self::Inline(bytes) | Self::Streamed { head: bytes, .. } => bytes,
        }
    }

    /// Length of what is stored in the record.
    pub(super) fn len(&self) -> u64 {
        self.bytes().len() as u64
    }
}

/// How many chunks a body of this length has.
pub(super) fn chunks(len: u64) -> u64 {
    len.div_ceil(CHUNK as u64)
}

pub(super) fn chunk_name(key: &str, started: u64, id: EntryId, chunk: u64) -> String {
    format!("{key}-{started:010x}-{id}-{chunk:08x}")
}

/// Key digest, time and id of a chunk's name.
pub(super) fn parse_chunk_name(name: &str) -> Option<(&str, u64, EntryId)> {
    let mut fields = name.split('-');
    let key = fields.next()?;
    let started = u64::from_str_radix(fields.next()?, 16).ok()?;
    Some((key, started, EntryId::parse(fields.next()?)?))
}

/// The number in such a value; `None` where it is damaged.
pub(super) fn number_in(value: &[u8]) -> Option<u64> {
    <[u8; 8]>::try_from(value).ok().map(u64::from_le_bytes)
}
