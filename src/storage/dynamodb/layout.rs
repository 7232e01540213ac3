//! Names and keys of everything in the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::entry::{EntryId, GroupId, StoredHead, codec};
use crate::key::CacheKey;

/// The version of the layout that is written, and the newest one that is understood.
pub(super) const SCHEMA: u64 = 2;

pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
pub(super) const KIND: &str = "kind";
pub(super) const ID: &str = "id";
pub(super) const HEAD: &str = "head";
pub(super) const BODY: &str = "body";
pub(super) const ENTRY: &str = "entry";
pub(super) const LENGTH: &str = "length";
pub(super) const PARTS: &str = "parts";
pub(super) const PARTS_EXPIRE: &str = "parts_expire";
pub(super) const PUBLISHED: &str = "published";
pub(super) const GENERATION: &str = "generation";
pub(super) const USABLE_UNTIL: &str = "usable_until";
pub(super) const EXPIRES: &str = "expires";
pub(super) const SIZE: &str = "size";
pub(super) const EPOCH: &str = "epoch";
pub(super) const CHECKSUM: &str = "checksum";
pub(super) const WRITTEN: &str = "written";
pub(super) const NUMBER: &str = "number";
pub(super) const VERSION: &str = "schema";

/// Values of [`KIND`].
pub(super) const RESPONSE: &str = "response";
pub(super) const ALIAS: &str = "alias";
pub(super) const PART: &str = "part";
pub(super) const FENCE: &str = "fence";
pub(super) const SLOT: &str = "slot";
pub(super) const COUNT: &str = "count";

/// Sort keys. `alias#…`, `fence` and `head#…` sort before `part#…`, so that one range holds all a lookup wants.
pub(super) const ALIAS_SK: &str = "alias#";
pub(super) const FENCE_SK: &str = "fence";
const HEAD_SK: &str = "head#";
pub(super) const PARTS_SK: &str = "part#";
/// Sort key of an item that is alone in its partition.
pub(super) const ONLY_SK: &str = "only";

/// Among so many items the fence of [`clear`](crate::storage::Storage::clear) is spread: DynamoDB lets a thousand
/// writes a second at one item, and publications that check the same item at the same time get into each other's way.
pub(super) const SHARDS: usize = 32;

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
pub(super) const SLOTS: u32 = 1 << 16;

pub(super) type Item = HashMap<String, AttributeValue>;

/// The keys of one namespace.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// `namespace` holds no `/`.
    pub(super) fn new(namespace: &str) -> Self {
        Self { prefix: format!("{namespace}/") }
    }

    /// What every partition key of this namespace begins with, and of no other.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn entry(&self, key: &CacheKey) -> String {
        format!("{}{}", self.prefix, key.hex_digest())
    }

    pub(super) fn schema(&self) -> String {
        format!("{}schema", self.prefix)
    }

    pub(super) fn generation(&self, shard: usize) -> String {
        format!("{}generation/{shard:02x}", self.prefix)
    }

    /// The count of invalidations.
    pub(super) fn invalidations(&self) -> String {
        format!("{}invalidations", self.prefix)
    }

    /// The slot of a group.
    pub(super) fn slot(&self, group: GroupId) -> String {
        format!("{}slot/{:04x}", self.prefix, group.slot(SLOTS))
    }
}

/// Which of the [`SHARDS`] guards a key.
pub(super) fn shard(key: &CacheKey) -> usize {
    let [first, ..] = key.digest();
    usize::from(first) % SHARDS
}

/// Names a variant by what tells it from others, so that publishing it again replaces it. What another version of the
/// head's form wrote is another variant: neither version replaces the other's.
pub(super) fn head_sk(head: &StoredHead) -> String {
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
pub(super) fn alias_sk() -> String {
    format!("{ALIAS_SK}{}", codec::VERSION)
}

pub(super) fn is_alias(sk: &str) -> bool {
    sk.starts_with(ALIAS_SK)
}

pub(super) fn is_head(sk: &str) -> bool {
    sk.starts_with(HEAD_SK)
}

/// A body has fewer parts than this: their numbers have eight digits.
pub(super) const MOST_PARTS: u32 = 100_000_000;

/// Parts of one body sort in their order.
pub(super) fn part_sk(id: EntryId, index: u32) -> String {
    format!("{PARTS_SK}{id}#{index:08}")
}

/// The body a part belongs to.
pub(super) fn part_id(sk: &str) -> Option<&str> {
    sk.strip_prefix(PARTS_SK)?.split('#').next()
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

#[allow(clippy::needless_pass_by_value, reason = "numbers")]
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn binary(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn key_of(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

pub(super) fn get_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn get_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Takes a binary attribute out of the item, without copying it.
pub(super) fn take_binary(item: &mut Item, name: &str) -> Option<bytes::Bytes> {
    match item.remove(name)? {
        AttributeValue::B(blob) => Some(blob.into_inner().into()),
        _ => None,
    }
}

pub(super) fn get_id(item: &Item) -> Option<EntryId> {
    get_text(item, ID).and_then(parse_id)
}

pub(super) fn parse_id(hex: &str) -> Option<EntryId> {
    if hex.len() == 32 { u128::from_str_radix(hex, 16).ok().map(EntryId::from_bits) } else { None }
}

/// `#name` for each name: many plain words are reserved in expressions.
pub(super) fn names(of: &[&str]) -> Option<HashMap<String, String>> {
    Some(of.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect())
}

/// `#one, #two`, for a projection.
pub(super) fn list(of: &[&str]) -> String {
    of.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ")
}

/// An upper bound of what DynamoDB takes an item's size to be: names and values, as bytes.
pub(super) fn size(item: &Item) -> usize {
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
    fn all_a_lookup_wants_sorts_before_the_parts() {
        let head = StoredHead::new(CacheKey::builder().build(), StatusCode::OK);
        for wanted in [&alias_sk(), FENCE_SK, &head_sk(&head)] {
            assert!(wanted < PARTS_SK, "{wanted}");
        }
        assert!(part_sk(head.id, 0).as_str() > PARTS_SK);
        assert!(part_sk(head.id, 9) < part_sk(head.id, 10));
        assert_eq!(part_id(&part_sk(head.id, 3)).and_then(parse_id), Some(head.id));
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
