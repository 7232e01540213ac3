//! Names and keys of everything in the table, and the items themselves.

mod record;

pub(in crate::storage::dynamodb) use record::{
    Found, Kept, MAX_ITEM, alias_of, check_size, response_of, stamp,
};

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::entry::{EntryId, GroupId, StoredHead, codec};
use crate::key::CacheKey;

/// The version of the layout that is written, and the newest one that is understood.
pub(in crate::storage::dynamodb) const SCHEMA: u64 = 3;

pub(in crate::storage::dynamodb) const PK: &str = "pk";
pub(in crate::storage::dynamodb) const SK: &str = "sk";
pub(in crate::storage::dynamodb) const KIND: &str = "kind";
pub(in crate::storage::dynamodb) const ID: &str = "id";
pub(in crate::storage::dynamodb) const HEAD: &str = "head";
pub(in crate::storage::dynamodb) const BODY: &str = "body";
pub(in crate::storage::dynamodb) const ENTRY: &str = "entry";
pub(in crate::storage::dynamodb) const LENGTH: &str = "length";
pub(in crate::storage::dynamodb) const CHUNKS: &str = "chunks";
pub(in crate::storage::dynamodb) const CHUNKS_EXPIRE: &str = "chunks_expire";
pub(in crate::storage::dynamodb) const PUBLISHED: &str = "published";
pub(in crate::storage::dynamodb) const GENERATION: &str = "generation";
pub(in crate::storage::dynamodb) const USABLE_UNTIL: &str = "usable_until";
pub(in crate::storage::dynamodb) const EXPIRES: &str = "expires";
pub(in crate::storage::dynamodb) const SIZE: &str = "size";
pub(in crate::storage::dynamodb) const EPOCH: &str = "epoch";
pub(in crate::storage::dynamodb) const CHECKSUM: &str = "checksum";
pub(in crate::storage::dynamodb) const WRITTEN: &str = "written";
pub(in crate::storage::dynamodb) const NUMBER: &str = "number";
pub(in crate::storage::dynamodb) const VERSION: &str = "schema";

/// Values of [`KIND`].
pub(in crate::storage::dynamodb) const RESPONSE: &str = "response";
pub(in crate::storage::dynamodb) const ALIAS: &str = "alias";
pub(in crate::storage::dynamodb) const CHUNK: &str = "chunk";
pub(in crate::storage::dynamodb) const FENCE: &str = "fence";
pub(in crate::storage::dynamodb) const SLOT: &str = "slot";
pub(in crate::storage::dynamodb) const COUNT: &str = "count";

/// Sort keys. `~` sorts behind all letters: `alias#…`, `fence` and `head#…` come before the chunks, so that one range
/// holds all that a lookup wants.
pub(in crate::storage::dynamodb) const ALIAS_SK: &str = "alias#";
pub(in crate::storage::dynamodb) const FENCE_SK: &str = "fence";
const HEAD_SK: &str = "head#";
pub(in crate::storage::dynamodb) const CHUNKS_SK: &str = "~chunk#";
/// Sort key of an item that is alone in its partition.
pub(in crate::storage::dynamodb) const ONLY_SK: &str = "only";

/// Among so many items the fence of [`clear`](crate::storage::Storage::clear) is spread: DynamoDB lets a thousand
/// writes a second at one item, and publications that check the same item at the same time get into each other's way.
pub(in crate::storage::dynamodb) const SHARDS: usize = 32;

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
pub(in crate::storage::dynamodb) const SLOTS: u32 = 1 << 16;

pub(in crate::storage::dynamodb) type Item = HashMap<String, AttributeValue>;

/// The keys of one namespace.
#[derive(Clone, Debug)]
pub(in crate::storage::dynamodb) struct Keys {
    prefix: String,
}

impl Keys {
    /// `namespace` holds no `/`.
    pub(in crate::storage::dynamodb) fn new(namespace: &str) -> Self {
        Self { prefix: format!("{namespace}/") }
    }

    /// What every partition key of this namespace begins with, and of no other.
    pub(in crate::storage::dynamodb) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(in crate::storage::dynamodb) fn entry(&self, key: &CacheKey) -> String {
        format!("{}{}", self.prefix, key.hex_digest())
    }

    pub(in crate::storage::dynamodb) fn schema(&self) -> String {
        format!("{}schema", self.prefix)
    }

    pub(in crate::storage::dynamodb) fn generation(&self, shard: usize) -> String {
        format!("{}generation/{shard:02x}", self.prefix)
    }

    /// The count of invalidations.
    pub(in crate::storage::dynamodb) fn invalidations(&self) -> String {
        format!("{}invalidations", self.prefix)
    }

    /// The slot of a group.
    pub(in crate::storage::dynamodb) fn slot(&self, group: GroupId) -> String {
        format!("{}slot/{:04x}", self.prefix, group.slot(SLOTS))
    }
}

/// Which of the [`SHARDS`] guards a key.
pub(in crate::storage::dynamodb) fn shard(key: &CacheKey) -> usize {
    let [first, ..] = key.digest();
    usize::from(first) % SHARDS
}

/// Names a variant by what tells it from others, so that publishing it again replaces it. What another version of the
/// head's form wrote is another variant: neither version replaces the other's.
pub(in crate::storage::dynamodb) fn head_sk(head: &StoredHead) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[codec::VERSION]);
    hasher.update(&head.selecting.digest());
    if let Some(range) = head.range {
        hasher.update(&range.first.to_le_bytes());
        if let Some(complete) = range.complete_len {
            hasher.update(&complete.to_le_bytes());
        }
    }
    format!("{HEAD_SK}{}", hasher.finalize().to_hex())
}

/// The sort key of an alias in this version of its form.
pub(in crate::storage::dynamodb) fn alias_sk() -> String {
    format!("{ALIAS_SK}{}", codec::VERSION)
}

pub(in crate::storage::dynamodb) fn is_alias(sk: &str) -> bool {
    sk.starts_with(ALIAS_SK)
}

pub(in crate::storage::dynamodb) fn is_head(sk: &str) -> bool {
    sk.starts_with(HEAD_SK)
}

/// A body has fewer chunks than this: their numbers have eight digits.
pub(in crate::storage::dynamodb) const MOST_CHUNKS: u32 = 100_000_000;

/// Chunks of one body sort in their order.
pub(in crate::storage::dynamodb) fn chunk_sk(id: EntryId, index: u32) -> String {
    format!("{CHUNKS_SK}{id}#{index:08}")
}

/// The body a chunk belongs to.
pub(in crate::storage::dynamodb) fn chunk_id(sk: &str) -> Option<&str> {
    sk.strip_prefix(CHUNKS_SK)?.split('#').next()
}

pub(in crate::storage::dynamodb) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

#[allow(clippy::needless_pass_by_value, reason = "numbers")]
pub(in crate::storage::dynamodb) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(in crate::storage::dynamodb) fn binary(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(in crate::storage::dynamodb) fn key_of(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

pub(in crate::storage::dynamodb) fn get_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(in crate::storage::dynamodb) fn get_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Takes a binary attribute out of the item, without copying it.
pub(in crate::storage::dynamodb) fn take_binary(item: &mut Item, name: &str) -> Option<bytes::Bytes> {
    match item.remove(name)? {
        AttributeValue::B(blob) => Some(blob.into_inner().into()),
        _ => None,
    }
}

pub(in crate::storage::dynamodb) fn get_id(item: &Item) -> Option<EntryId> {
    get_text(item, ID).and_then(parse_id)
}

pub(in crate::storage::dynamodb) fn parse_id(hex: &str) -> Option<EntryId> {
    if hex.len() == 32 { u128::from_str_radix(hex, 16).ok().map(EntryId::from_bits) } else { None }
}

/// `#name` for each name: many plain words are reserved in expressions.
pub(in crate::storage::dynamodb) fn names(of: &[&str]) -> Option<HashMap<String, String>> {
    Some(of.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect())
}

/// `#one, #two`, for a projection.
pub(in crate::storage::dynamodb) fn list(of: &[&str]) -> String {
    of.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ")
}

/// An upper bound of what DynamoDB takes an item's size to be: names and values, as bytes.
pub(in crate::storage::dynamodb) fn size(item: &Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        _ => 0,
    };
    item.iter().map(|(name, of)| name.len() + value(of) + 2).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use http::StatusCode;

    use super::*;
    use crate::entry::StoredRange;

    #[test]
    fn all_a_lookup_wants_sorts_before_the_chunks() {
        let head = StoredHead::new(CacheKey::builder().build(), StatusCode::OK);
        for wanted in [&alias_sk(), FENCE_SK, &head_sk(&head)] {
            assert!(wanted < CHUNKS_SK, "{wanted}");
        }
        assert!(chunk_sk(head.id, 0).as_str() > CHUNKS_SK);
        assert!(chunk_sk(head.id, 9) < chunk_sk(head.id, 10));
        assert_eq!(chunk_id(&chunk_sk(head.id, 3)).and_then(parse_id), Some(head.id));
    }

    #[test]
    fn ranges_are_variants_of_their_own() {
        let mut head = StoredHead::new(CacheKey::builder().build(), StatusCode::OK);
        let mut seen = vec![head_sk(&head)];
        for (first, complete_len) in [(0, None), (0, Some(0)), (1, None), (0, Some(1)), (1, Some(1))] {
            head.range = Some(StoredRange { first, complete_len });
            let sk = head_sk(&head);
            assert!(!seen.contains(&sk));
            seen.push(sk);
        }
    }
}
