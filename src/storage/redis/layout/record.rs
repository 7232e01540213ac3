//! The value of one key: a hash, one field for each response.
//!
//! | field | value |
//! |---|---|
//! | `vN` | variant N: [`Meta`], which the scripts need; the length of its head in eight digits; its head, in the form of [`codec`]; and its body, where it is small |
//! | `aN` | the alias in version N of [`codec`]'s form, behind its [`Meta`] |
//! | `f` | the fence: until when it is kept by the server's clock, and a random number, both new with every removal |
//! | `t` | a random number drawn when the record came to be, so that an evicted one is noticed |
//!
//! What another version of [`codec`] wrote is another variant and another alias: neither version replaces the other's.

use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use redis::Value;

use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, StoredHead, StoredResponse, codec};
use crate::key::CacheKey;
use crate::storage::kit::{Row, row};

/// A later usable time means that the entry never expires: the year 33658.
pub(in crate::storage::redis) const FOREVER: i64 = 999_999_999_999_999;

/// The field of an alias.
pub(in crate::storage::redis) static ALIAS: LazyLock<String> =
    LazyLock::new(|| format!("a{}", codec::VERSION));

/// No chunk but the last is shorter: the least that can be set.
pub(in crate::storage::redis) const MIN_CHUNK: u64 = 1024;

/// The most chunks that there are columns for.
pub(in crate::storage::redis) const MOST_CHUNKS: u64 = 99_999_999;

/// Columns of a [`Meta`].
const META: usize = 118;

/// What the server has to know of an entry, in columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::redis) struct Meta {
    /// The namespace's generation that it was stored in: a clearing starts a new one.
    pub(in crate::storage::redis) generation: u64,
    pub(in crate::storage::redis) id: EntryId,
    /// Names the variant: selecting fields and range.
    pub(in crate::storage::redis) variant: u128,
    pub(in crate::storage::redis) usable_until: i64,
    /// Number of chunks; 0 for an inline body.
    pub(in crate::storage::redis) chunks: u64,
    /// Length of head and body.
    pub(in crate::storage::redis) bytes: u64,
}

impl Meta {
    pub(in crate::storage::redis) fn new(
        generation: u64,
        head: &StoredHead,
        head_len: usize,
        chunks: u64,
    ) -> Self {
        Self {
            generation,
            id: head.id,
            variant: variant_of(head),
            usable_until: millis(head.usable_until),
            chunks,
            bytes: head.body_len().saturating_add(head_len as u64),
        }
    }

    pub(in crate::storage::redis) fn encode(&self) -> String {
        format!("{:016x}{}{}{:08}{}", self.generation, self.id, self.middle(), self.chunks, self.tail())
    }

    /// Variant and usable time.
    pub(in crate::storage::redis) fn middle(&self) -> String {
        format!("{:032x}{:015}", self.variant, self.usable_until)
    }

    pub(in crate::storage::redis) fn tail(&self) -> String {
        format!("{:015}", self.bytes)
    }

    pub(in crate::storage::redis) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii() && text.len() == META)?;
        let hex = |from, to| u128::from_str_radix(text.get(from..to)?, 16).ok();
        let number = |from, to| text.get(from..to)?.parse::<u64>().ok();
        let (chunks, bytes) = (number(95, 103)?, number(103, 118)?);
        // No count is believed that does not go with the length.
        if chunks.saturating_sub(1).saturating_mul(MIN_CHUNK) > bytes {
            return None;
        }
        Some(Self {
            generation: u64::try_from(hex(0, 16)?).ok()?,
            id: EntryId::from_bits(hex(16, 48)?),
            variant: hex(48, 80)?,
            usable_until: i64::try_from(number(80, 95)?).ok()?,
            chunks,
            bytes,
        })
    }
}

/// A time in the columns that there are for it.
pub(in crate::storage::redis) fn millis(time: Timestamp) -> i64 {
    time.as_millis().clamp(0, FOREVER)
}

fn variant_of(head: &StoredHead) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[codec::VERSION]);
    hasher.update(&head.selecting.digest());
    if let Some(range) = head.range {
        hasher.update(&range.first.to_le_bytes());
        match range.complete_len {
            Some(len) => hasher.update(&[2]).update(&len.to_le_bytes()),
            None => hasher.update(&[1]),
        };
    }
    let mut first = [0; 16];
    hasher.finalize_xof().fill(&mut first);
    u128::from_be_bytes(first)
}

/// Columns of a head's length.
const LENGTH: usize = 8;

/// A head with its length before it.
pub(in crate::storage::redis) fn measured(head: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:0LENGTH$}", head.len()).into_bytes();
    bytes.extend_from_slice(head);
    bytes
}

/// One variant as it was found.
#[derive(Debug)]
pub(in crate::storage::redis) struct Variant {
    pub(in crate::storage::redis) number: u64,
    pub(in crate::storage::redis) meta: Meta,
    head: Bytes,
    /// Empty for a body in chunks.
    body: Bytes,
}

impl Variant {
    fn read(number: u64, value: Vec<u8>) -> Option<Self> {
        let mut value = Bytes::from(value);
        let meta = value.get(..META).and_then(Meta::decode)?;
        let length = std::str::from_utf8(value.get(META..META + LENGTH)?).ok()?.parse::<usize>().ok()?;
        value.advance(META + LENGTH);
        (length <= value.len()).then(|| {
            let head = value.split_to(length);
            Self { number, meta, head, body: value }
        })
    }

    /// Head and body, as they are stored under this key.
    pub(in crate::storage::redis) fn response(&self, key: &CacheKey) -> Row<StoredResponse> {
        let inline = (self.meta.chunks == 0).then(|| self.body.clone());
        match row::response(&self.head, inline, Some(key)) {
            Row::Found(found) if found.head.id != self.meta.id => Row::Garbage,
            row => row,
        }
    }

    pub(in crate::storage::redis) fn head(&self) -> Row<StoredHead> {
        match row::head(&self.head, None) {
            Row::Found(head) if head.id != self.meta.id => Row::Garbage,
            row => row,
        }
    }
}

/// A record as it was found.
#[derive(Debug, Default)]
pub(in crate::storage::redis) struct Record {
    /// From the one published last on.
    pub(in crate::storage::redis) variants: Vec<Variant>,
    alias: Option<(Meta, Bytes)>,
    pub(in crate::storage::redis) fence: Vec<u8>,
    /// How many variants do not decode.
    pub(in crate::storage::redis) garbage: usize,
}

impl Record {
    /// From names and values in turns.
    pub(in crate::storage::redis) fn new(fields: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let mut record = Self::default();
        for (name, value) in fields {
            match name.as_slice() {
                b"f" => record.fence = value,
                name if name == ALIAS.as_bytes() => record.alias = alias(value),
                [b'v', number @ ..] => {
                    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
                    let Some(number) = number else { continue };
                    match Variant::read(number, value) {
                        Some(variant) => record.variants.push(variant),
                        None => record.garbage += 1,
                    }
                }
                _ => {}
            }
        }
        record.variants.sort_by_key(|variant| std::cmp::Reverse(variant.number));
        record
    }

    /// From the reply to `HGETALL`, in either protocol.
    pub(in crate::storage::redis) fn from_reply(reply: Value) -> Self {
        let mut flat = Vec::new();
        match reply {
            Value::Array(values) => flat = values,
            Value::Map(pairs) => flat.extend(pairs.into_iter().flat_map(|(name, value)| [name, value])),
            _ => {}
        }
        let mut flat = flat.into_iter();
        Self::new(std::iter::from_fn(|| flat.next().zip(flat.next())).filter_map(|(name, value)| {
            match (name, value) {
                (Value::BulkString(name), Value::BulkString(value)) => Some((name, value)),
                _ => None,
            }
        }))
    }

    /// The alias of this generation, stored under `key` where that is given.
    pub(in crate::storage::redis) fn alias(
        &self,
        generation: u64,
        key: Option<&CacheKey>,
    ) -> Option<Row<Alias>> {
        let (meta, value) = self.alias.as_ref().filter(|(meta, _)| meta.generation == generation)?;
        Some(match row::alias(value, key) {
            Row::Found(alias) if alias.response.head.id != meta.id => Row::Garbage,
            row => row,
        })
    }

    pub(in crate::storage::redis) fn alias_meta(&self) -> Option<&Meta> {
        self.alias.as_ref().map(|(meta, _)| meta)
    }
}

fn alias(value: Vec<u8>) -> Option<(Meta, Bytes)> {
    let mut value = Bytes::from(value);
    let meta = value.get(..META).and_then(Meta::decode)?;
    value.advance(META);
    Some((meta, value))
}

#[cfg(test)]
mod tests {
    use super::{EntryId, Meta};

    #[test]
    fn meta_keeps_its_columns() {
        let meta = Meta {
            generation: 7,
            id: EntryId::from_bits(u128::MAX),
            variant: 5,
            usable_until: super::FOREVER,
            chunks: 4096,
            bytes: 1 << 32,
        };
        let text = meta.encode();
        assert_eq!(text.len(), super::META);
        assert_eq!(Meta::decode(text.as_bytes()), Some(meta));
        let too_many = Meta { chunks: 99_999_999, ..meta }.encode();
        for garbage in ["", "x", &"z".repeat(super::META), &"é".repeat(super::META / 2), &too_many] {
            assert_eq!(Meta::decode(garbage.as_bytes()), None);
        }
    }
}
