//! Listing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::{BufMut, Bytes, BytesMut};

use super::NAME;
use super::map::Slot;
use super::shared::Shared;
use crate::entry::{Alias, EntryId, StoredHead};
use crate::storage::{Cursor, Page, StorageError, StorageErrorKind};

impl Shared {
    pub(super) fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.page(after, limit, |slot, found| {
            for kept in &slot.responses {
                found(kept.response.head.id, &|| (*kept.response.head).clone());
            }
        })
    }

    pub(super) fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.page(after, limit, |slot, found| {
            if let Some(alias) = &slot.alias {
                found(alias.response.head.id, &|| (**alias).clone());
            }
        })
    }

    /// The `limit` items with the smallest positions after the cursor. Positions are hash and id, so they stay
    /// whatever is stored or evicted meanwhile; finding them takes a walk over everything.
    fn page<T>(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        items: impl Fn(&Slot, &mut dyn FnMut(EntryId, &dyn Fn() -> T)),
    ) -> Result<Page<T>, StorageError> {
        let after = after.map(Position::of).transpose()?;
        let mut smallest = BinaryHeap::new();
        self.map.for_each(|hash, slot| {
            items(slot, &mut |id, item| {
                let position = Position { hash, id: id.bits() };
                let wanted = after.is_none_or(|after| position > after);
                let full = smallest.len() > limit;
                if wanted && !(full && smallest.peek().is_some_and(|last: &Found<T>| last.at < position)) {
                    smallest.push(Found { at: position, item: item() });
                    if smallest.len() > limit + 1 {
                        smallest.pop();
                    }
                }
            });
        });
        let more = smallest.len() > limit;
        if more {
            smallest.pop();
        }
        let next = smallest.peek().filter(|_| more).map(|last| last.at.cursor());
        let items = smallest.into_sorted_vec().into_iter().map(|found| found.item).collect();
        Ok(Page { items, next })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    hash: u128,
    id: u128,
}

impl Position {
    fn of(cursor: &Cursor) -> Result<Self, StorageError> {
        let halves = cursor.0.first_chunk::<16>().zip(cursor.0.last_chunk::<16>());
        match halves {
            Some((hash, id)) if cursor.0.len() == 32 => {
                Ok(Self { hash: u128::from_be_bytes(*hash), id: u128::from_be_bytes(*id) })
            }
            _ => Err(StorageError::new(StorageErrorKind::Invalid, NAME, "listing from a foreign cursor")),
        }
    }

    fn cursor(self) -> Cursor {
        let mut bytes = BytesMut::with_capacity(32);
        bytes.put_u128(self.hash);
        bytes.put_u128(self.id);
        Cursor(Bytes::from(bytes))
    }
}

struct Found<T> {
    at: Position,
    item: T,
}

impl<T> PartialEq for Found<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Found<T> {}

impl<T> PartialOrd for Found<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Found<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
