//! Pages of everything, and counts.

use bytes::Bytes;

use super::Shared;
use super::error::invalid;
use super::layout::{self, ALIAS, CHUNKS, ENTRY, HEAD, Item, KIND, LENGTH, PK, RESPONSE, SIZE, SK};
use crate::entry::{Alias, StoredHead};
use crate::storage::kit::row;
use crate::storage::{Cursor, Page, StorageError, Usage};

/// So many pages of a megabyte are read in search of one item before an empty page is given.
const PAGES: usize = 8;

impl Shared {
    pub(super) async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        let only = [PK, SK, KIND, HEAD];
        self.page(after, limit, RESPONSE, &only, |mut item| {
            row::head(&layout::take_binary(&mut item, HEAD)?, None).found()
        })
        .await
    }

    pub(super) async fn aliases(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Alias>, StorageError> {
        let only = [PK, SK, KIND, ENTRY];
        self.page(after, limit, ALIAS, &only, |item| layout::alias_of(item, None).found()).await
    }

    async fn page<T>(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        kind: &str,
        only: &[&str],
        decode: impl Fn(Item) -> Option<T>,
    ) -> Result<Page<T>, StorageError> {
        let mut from = after.map(|cursor| self.position(cursor)).transpose()?;
        let mut found = Vec::new();
        // Items are counted before the filter, so a small page still looks at some.
        let most = i32::try_from(limit.saturating_mul(2).clamp(50, 1000)).ok();
        for _ in 0..PAGES {
            let filter = Some((KIND, layout::text(kind)));
            let scanned = self.scan("listing", only, filter, most, from).await?;
            for item in scanned.items {
                let at = position_of(&item);
                found.extend(decode(item));
                if found.len() >= limit {
                    return Ok(Page { items: found, next: at });
                }
            }
            from = scanned.next;
            if from.is_none() {
                break;
            }
        }
        Ok(Page { items: found, next: from.as_ref().and_then(position_of) })
    }

    /// Only positions in this namespace are sent to the server.
    fn position(&self, Cursor(bytes): &Cursor) -> Result<Item, StorageError> {
        let text = std::str::from_utf8(bytes).ok();
        let (pk, sk) = text
            .and_then(|text| text.split_once('\n'))
            .filter(|(pk, sk)| !sk.is_empty() && pk.len() <= 2048 && sk.len() <= 1024)
            .ok_or_else(|| invalid("listing: the cursor belongs to another storage".to_owned()))?;
        Ok(layout::key_of(pk, sk))
    }

    pub(super) async fn usage(&self) -> Result<Usage, StorageError> {
        let (mut responses, mut aliases, mut bytes) = (0, 0, 0_u64);
        let mut from = None;
        loop {
            let only = [SK, KIND, SIZE, LENGTH, CHUNKS];
            let scanned = self.scan("counting", &only, None, None, from).await?;
            for item in &scanned.items {
                match layout::get_text(item, KIND) {
                    Some(RESPONSE) => {
                        responses += 1;
                        // The chunks of a longer body are counted on their own.
                        if layout::get_number::<u32>(item, CHUNKS) == Some(0) {
                            bytes = bytes.saturating_add(layout::get_number(item, LENGTH).unwrap_or(0));
                        }
                    }
                    Some(ALIAS) => aliases += 1,
                    _ => {}
                }
                bytes = bytes.saturating_add(layout::get_number(item, SIZE).unwrap_or(0));
            }
            from = scanned.next;
            if from.is_none() {
                return Ok(Usage::new(responses, aliases, bytes));
            }
        }
    }
}

fn position_of(item: &Item) -> Option<Cursor> {
    let (pk, sk) = (layout::get_text(item, PK)?, layout::get_text(item, SK)?);
    Some(Cursor(Bytes::from(format!("{pk}\n{sk}"))))
}
