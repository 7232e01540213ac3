//! Listing and counting.

use bytes::Bytes;

use super::byte_store::{ByteStore, Space};
use super::layout::Variant;
use super::shared::Shared;
use crate::entry::{Alias, EntryId, StoredHead};
use crate::storage::{Cursor, Page, StorageError, StorageErrorKind, Usage};

/// Names asked for at once.
const BATCH: usize = 256;

impl<T: ByteStore> Shared<T> {
    /// A cursor is the name of a record and the id of the last response seen in it; within a record, responses are
    /// listed by id, so that a record that changes meanwhile does no harm.
    pub(super) async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let mut items = Vec::new();
        let mut after = after.map(|cursor| self.parse_cursor(cursor)).transpose()?;
        if let Some((name, id)) = &after {
            self.add_responses(name, Some(*id), limit, &mut items).await?;
        }
        while items.len() < limit {
            let name = after.as_ref().map(|(name, _)| name.as_str());
            let names = self.store.list(Space::Responses, name, limit.min(BATCH)).await?;
            let Some(last) = names.last().cloned() else { return Ok(Page { items, next: None }) };
            for name in &names {
                if items.len() < limit {
                    self.add_responses(name, None, limit, &mut items).await?;
                }
            }
            after = Some((last, EntryId::from_bits(u128::MAX)));
        }
        let next = items.last().map(|last| cursor(&last.key.hex_digest(), last.id));
        Ok(Page { items, next })
    }

    async fn add_responses(
        &self,
        name: &str,
        after: Option<EntryId>,
        limit: usize,
        items: &mut Vec<StoredHead>,
    ) -> Result<(), StorageError> {
        let mut heads: Vec<_> = self.record(name).await?.variants.iter().filter_map(Variant::head).collect();
        // A record that was copied to another name is none of this name.
        heads.retain(|head| after.is_none_or(|after| head.id > after) && head.key.hex_digest() == name);
        heads.sort_unstable_by_key(|head| head.id);
        heads.truncate(limit - items.len());
        items.append(&mut heads);
        Ok(())
    }

    pub(super) async fn aliases(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Alias>, StorageError> {
        let after = after.map(|cursor| self.parse_cursor(cursor)).transpose()?.map(|(name, _)| name);
        let names = self.store.list(Space::Aliases, after.as_deref(), limit).await?;
        let mut items = Vec::new();
        for name in &names {
            items.extend(self.alias(name).await?);
        }
        let next = names.last().map(|last| cursor(last, EntryId::from_bits(0)));
        Ok(Page { items, next })
    }

    pub(super) async fn usage(&self) -> Result<Usage, StorageError> {
        let (mut responses, mut bytes, mut after) = (0, 0, None);
        while let Some(names) = self.names(Space::Responses, &mut after).await? {
            for name in names {
                for variant in self.record(&name).await?.variants {
                    let Some(head) = variant.head() else { continue };
                    responses += 1;
                    bytes = u64::saturating_add(bytes, variant.len());
                    if matches!(variant, Variant::Streamed { .. }) {
                        bytes = bytes.saturating_add(head.body_len());
                    }
                }
            }
        }
        Ok(Usage::new(responses, self.store.len(Space::Aliases).await?, bytes))
    }

    /// The next names, or nothing after the last.
    pub(super) async fn names(
        &self,
        space: Space,
        after: &mut Option<String>,
    ) -> Result<Option<Vec<String>>, StorageError> {
        let names = self.store.list(space, after.as_deref(), BATCH).await?;
        *after = names.last().cloned();
        Ok(after.is_some().then_some(names))
    }

    fn parse_cursor(&self, cursor: &Cursor) -> Result<(String, EntryId), StorageError> {
        let parsed = std::str::from_utf8(&cursor.0).ok().and_then(|text| {
            let (name, id) = text.split_once('-')?;
            let hex = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex.then_some((name.to_owned(), EntryId::parse(id)?))
        });
        parsed.ok_or_else(|| self.error(StorageErrorKind::Invalid, "listing from a foreign cursor"))
    }
}

fn cursor(name: &str, id: EntryId) -> Cursor {
    Cursor(Bytes::from(format!("{name}-{id}")))
}
