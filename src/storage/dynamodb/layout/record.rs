//! Heads and aliases as items.

use bytes::Bytes;
use http::header::CONTENT_TYPE;

use super::{
    ALIAS, BODY, CHUNKS, CHUNKS_EXPIRE, ENTRY, EXPIRES, GENERATION, HEAD, ID, Item, KIND, LENGTH, PUBLISHED,
    RESPONSE, SIZE, SK, USABLE_UNTIL,
};
use crate::clock::Timestamp;
use crate::clock::civil::rfc3339;
use crate::entry::{Alias, StoredHead, StoredResponse, codec};
use crate::key::CacheKey;
use crate::storage::StorageError;
use crate::storage::dynamodb::Shared;
use crate::storage::dynamodb::error::{invalid, too_large};
use crate::storage::kit::{Row, row};

/// DynamoDB's limit for an item, less something for what it counts and we do not.
pub(in crate::storage::dynamodb) const MAX_ITEM: usize = 400 * 1024 - 1024;
/// Readable copies are cut. The head has the whole value.
const MAX_READABLE: usize = 2048;
/// Chunks are given so much longer than their head, so that a freshening seldom has to write all of them again.
const CHUNKS_LEASE: i64 = 3 * 24 * 3600;

/// How a body is kept.
pub(in crate::storage::dynamodb) enum Kept {
    Inline(Bytes),
    /// In so many chunks, which expire at this second.
    Chunks(u32, Option<i64>),
}

impl Shared {
    /// The second from which DynamoDB may delete what is usable until then; `None` is never.
    pub(in crate::storage::dynamodb) fn expires(&self, usable_until: Timestamp) -> Option<i64> {
        let margin = i64::try_from(self.options.ttl_margin.as_secs()).unwrap_or(i64::MAX);
        let wanted = self.options.ttl && usable_until != Timestamp::MAX;
        wanted.then(|| usable_until.as_secs().saturating_add(margin).max(0))
    }

    /// The same for the chunks of a body.
    pub(in crate::storage::dynamodb) fn chunks_expire(&self, usable_until: Timestamp) -> Option<i64> {
        self.expires(usable_until).map(|second| second.saturating_add(CHUNKS_LEASE))
    }

    /// The values of a head that are also attributes, and change with it.
    pub(in crate::storage::dynamodb) fn head_attributes(&self, head: &StoredHead) -> Item {
        let mut item = self.readable(head);
        item.insert(HEAD.to_owned(), super::binary(codec::encode(head)));
        let size = super::size(&item);
        item.insert(SIZE.to_owned(), super::number(size));
        item
    }

    /// The item of a response but for its keys and its place in the order.
    pub(in crate::storage::dynamodb) fn response_item(&self, head: &StoredHead, kept: Kept) -> Item {
        let mut item = self.head_attributes(head);
        item.insert(KIND.to_owned(), super::text(RESPONSE));
        item.insert(LENGTH.to_owned(), super::number(head.body_len()));
        match kept {
            Kept::Inline(body) => {
                item.insert(CHUNKS.to_owned(), super::number(0));
                if !body.is_empty() {
                    item.insert(BODY.to_owned(), super::binary(body));
                }
            }
            Kept::Chunks(chunks, expire) => {
                item.insert(CHUNKS.to_owned(), super::number(chunks));
                if let Some(second) = expire {
                    item.insert(CHUNKS_EXPIRE.to_owned(), super::number(second));
                }
            }
        }
        item
    }

    /// The item of an alias but for its partition.
    pub(in crate::storage::dynamodb) fn alias_item(&self, alias: &Alias) -> Result<Item, StorageError> {
        let entry = codec::encode_alias(alias)
            .ok_or_else(|| invalid("storing an alias whose body did not come with it".to_owned()))?;
        let mut item = self.readable(&alias.response.head);
        item.insert(SK.to_owned(), super::text(super::alias_sk()));
        item.insert(KIND.to_owned(), super::text(ALIAS));
        if let Some(target) = alias.target.uri() {
            item.insert("target".to_owned(), super::text(cut(target)));
        }
        item.insert(ENTRY.to_owned(), super::binary(entry));
        let size = super::size(&item);
        item.insert(SIZE.to_owned(), super::number(size));
        check_size(&item)?;
        Ok(item)
    }

    /// For people and for plain queries.
    fn readable(&self, head: &StoredHead) -> Item {
        let mut item = Item::new();
        let mut set = |name: &str, value| item.insert(name.to_owned(), value);
        set(ID, super::text(head.id.to_string()));
        if !head.uri.is_empty() {
            set("url", super::text(cut(&head.uri)));
        }
        set("method", super::text(cut(head.method.as_str())));
        set("status", super::number(head.status.as_u16()));
        set("request_time", super::text(rfc3339(head.request_time)));
        set("response_time", super::text(rfc3339(head.response_time)));
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if let Some(content_type) = content_type.filter(|text| !text.is_empty()) {
            set("content_type", super::text(cut(content_type)));
        }
        set("variant", super::text(super::head_sk(head)));
        set(USABLE_UNTIL, super::number(head.usable_until.as_millis()));
        if let Some(second) = self.expires(head.usable_until) {
            set(EXPIRES, super::number(second));
        }
        item
    }
}

/// A response as it was found, with what orders it among the others.
pub(in crate::storage::dynamodb) struct Found {
    pub(in crate::storage::dynamodb) published: u64,
    pub(in crate::storage::dynamodb) response: StoredResponse,
}

/// The stored response of an item, stored under `key` where that is given.
pub(in crate::storage::dynamodb) fn response_of(mut item: Item, key: Option<&CacheKey>) -> Row<Found> {
    let (published, chunks) = (super::get_number(&item, PUBLISHED), super::get_number::<u32>(&item, CHUNKS));
    let Some(head) = super::take_binary(&mut item, HEAD) else { return Row::Garbage };
    let inline = (chunks == Some(0)).then(|| super::take_binary(&mut item, BODY).unwrap_or_default());
    match (row::response(&head, inline, key), published.zip(chunks)) {
        (Row::Found(response), Some((published, _))) => Row::Found(Found { published, response }),
        (Row::OtherVersion, _) => Row::OtherVersion,
        _ => Row::Garbage,
    }
}

/// The alias of an item, stored under `key` where that is given.
pub(in crate::storage::dynamodb) fn alias_of(mut item: Item, key: Option<&CacheKey>) -> Row<Alias> {
    match super::take_binary(&mut item, ENTRY) {
        Some(entry) => row::alias(&entry, key),
        None => Row::Garbage,
    }
}

/// Which clearing the publication came after.
pub(in crate::storage::dynamodb) fn stamp(item: &mut Item, generation: u32) {
    item.insert(GENERATION.to_owned(), super::number(generation));
}

pub(in crate::storage::dynamodb) fn check_size(item: &Item) -> Result<(), StorageError> {
    let size = super::size(item);
    if size <= MAX_ITEM {
        return Ok(());
    }
    Err(too_large(format!(
        "storing a response: its head needs {size} bytes, and the limit of an item is {MAX_ITEM}"
    )))
}

/// The first bytes of a text, up to the end of a character.
fn cut(text: &str) -> &str {
    (0..=MAX_READABLE).rev().find_map(|end| text.get(..end)).unwrap_or(text)
}
