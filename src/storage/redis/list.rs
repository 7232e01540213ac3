//! Pages of everything, in the order of the keys' digests.
//!
//! A server's `SCAN` has no order, may repeat itself and cannot be stopped within a step. So a scan of everything
//! collects the next digests in order, many at a time, and the pages are cut from those.

use bytes::Bytes;
use redis::Value;

use super::call::{Call, Calls};
use super::error::error;
use super::layout::{Meta, Record};
use super::link::{array, bytes};
use super::managers::Lane;
use super::marks::Marks;
use super::{Shared, scripts};
use crate::entry::{Alias, StoredHead};
use crate::storage::kit::Row;
use crate::storage::{Cursor, Page, StorageError, StorageErrorKind, Usage};

type Digest = [u8; 32];

/// Digests collected by one scan: 4 MiB of memory.
const COLLECTED: usize = 131_072;
/// Records read in one round trip.
pub(super) const RECORDS: usize = 64;

/// What a scan found beyond what the pages before needed.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    after: Option<Digest>,
    digests: Vec<Digest>,
    /// Nothing comes behind them.
    complete: bool,
}

impl Ahead {
    /// The digests from `from` on, as far as they were collected.
    fn part(&self, from: Option<&Digest>, limit: usize) -> Option<Vec<Digest>> {
        let from = from?;
        if self.after.as_ref().is_some_and(|after| from <= after) {
            return None;
        }
        let start = self.digests.partition_point(|digest| digest < from);
        let part: Vec<_> = self.digests.iter().skip(start).take(limit).copied().collect();
        (self.complete || part.len() == limit).then_some(part)
    }
}

/// The digest of the last item's key, and the item's number under the key.
#[derive(Clone, Copy, Debug)]
struct Place {
    digest: Digest,
    number: u64,
}

impl Place {
    fn cursor(self) -> Cursor {
        let mut bytes = self.digest.to_vec();
        bytes.extend_from_slice(&self.number.to_be_bytes());
        Cursor(Bytes::from(bytes))
    }

    fn read(cursor: &Cursor) -> Result<Self, StorageError> {
        let read = |bytes: &[u8]| -> Option<Self> {
            let (digest, number) = bytes.split_first_chunk::<32>()?;
            Some(Self { digest: *digest, number: u64::from_be_bytes(number.try_into().ok()?) })
        };
        read(&cursor.0)
            .ok_or_else(|| error(StorageErrorKind::Invalid, "listing from a cursor of another storage"))
    }
}

impl Shared {
    /// Records in the order of their digests, from this one on.
    async fn digests(&self, from: Option<&Digest>, limit: usize) -> Result<Vec<Digest>, StorageError> {
        if let Some(part) = self.ahead().part(from, limit) {
            return Ok(part);
        }
        let (mut found, mut complete): (Vec<Digest>, bool) = (Vec::new(), true);
        let mut tidy = |found: &mut Vec<Digest>| {
            found.sort_unstable();
            found.dedup();
            complete &= found.len() <= COLLECTED;
            found.truncate(COLLECTED);
        };
        let pattern = self.names.records();
        for node in self.link.nodes("listing").await? {
            let mut cursor = b"0".to_vec();
            loop {
                let (next, names) = self.link.scan("listing", node, &cursor, &pattern).await?;
                let digests = names.iter().filter_map(|name| self.names.digest(name));
                found.extend(digests.filter(|digest| from.is_none_or(|from| digest >= from)));
                if found.len() > 2 * COLLECTED {
                    tidy(&mut found);
                }
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        tidy(&mut found);
        let part = found.iter().take(limit).copied().collect();
        // The first digest is within, so the place before it is as far as this reaches back.
        let after = from.and_then(before);
        *self.ahead() = Ahead { after, digests: found, complete };
        Ok(part)
    }

    pub(super) async fn list_responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.page(after, limit, |marks, record, last, found| {
            for variant in record.variants.iter().rev() {
                let beyond = last.is_none_or(|last| variant.number > last);
                let present = beyond && variant.meta.generation == marks.responses;
                if present && let Row::Found(head) = variant.head() {
                    found.push((variant.number, head));
                }
            }
        })
        .await
    }

    pub(super) async fn list_aliases(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Alias>, StorageError> {
        self.page(after, limit, |marks, record, last, found| {
            if last.is_none() {
                found.extend(record.alias(marks.aliases, None).and_then(Row::found).map(|alias| (0, alias)));
            }
        })
        .await
    }

    async fn page<T>(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        take: impl Fn(&Marks, &Record, Option<u64>, &mut Vec<(u64, T)>),
    ) -> Result<Page<T>, StorageError> {
        let after = after.map(Place::read).transpose()?;
        let limit = limit.max(1);
        let Some(marks) = self.marks("listing").await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let mut from = after.map(|after| after.digest);
        let mut items = Vec::new();
        loop {
            let count = RECORDS.min(limit + 1);
            let digests = self.digests(from.as_ref(), count).await?;
            let records = self.heads_of(&digests).await?;
            for (digest, record) in digests.iter().zip(records) {
                let last = after.filter(|after| after.digest == *digest).map(|after| after.number);
                let mut found = Vec::new();
                take(&marks, &record, last, &mut found);
                for (number, item) in found {
                    items.push(item);
                    if items.len() == limit {
                        return Ok(Page { items, next: Some(Place { digest: *digest, number }.cursor()) });
                    }
                }
            }
            match digests.last().and_then(beyond) {
                Some(next) if digests.len() == count => from = Some(next),
                _ => return Ok(Page { items, next: None }),
            }
        }
    }

    /// The records of these digests without small bodies.
    async fn heads_of(&self, digests: &[Digest]) -> Result<Vec<Record>, StorageError> {
        let values = self.values_of("listing", digests, true).await?;
        Ok(values.into_iter().map(Record::from_reply).collect())
    }

    /// Fields of variants and alias in turns with their values: metas, and if asked for the heads behind them.
    async fn values_of(
        &self,
        action: &str,
        digests: &[Digest],
        heads: bool,
    ) -> Result<Vec<Value>, StorageError> {
        let heads: &[u8] = if heads { b"1" } else { b"0" };
        let call = |digest| Call::script(&scripts::HEADS, &[&self.names.record_of(digest)], &[heads]);
        let calls: Calls = digests.iter().map(call).collect();
        self.ask_all(action, Lane::Bodies, true, calls).await
    }

    /// What the scripts need of these records, without heads and bodies.
    pub(super) async fn metas_of(
        &self,
        action: &str,
        digests: &[[u8; 32]],
    ) -> Result<Vec<Metas>, StorageError> {
        let replies = self.values_of(action, digests, false).await?;
        Ok(replies
            .into_iter()
            .map(|reply| {
                let (mut metas, mut flat) = (Metas::default(), array(reply).into_iter().filter_map(bytes));
                while let Some((name, value)) = flat.next().zip(flat.next()) {
                    let Some(meta) = Meta::decode(&value) else { continue };
                    let of_kind =
                        if name.starts_with(b"a") { &mut metas.aliases } else { &mut metas.responses };
                    of_kind.push(meta);
                }
                metas
            })
            .collect())
    }

    pub(super) async fn usage(&self) -> Result<Usage, StorageError> {
        let Some(marks) = self.marks("counting").await? else { return Ok(Usage::default()) };
        let (mut responses, mut aliases, mut sum) = (0, 0, 0_u64);
        let mut from = None;
        loop {
            let digests = self.digests(from.as_ref(), RECORDS).await?;
            for record in self.metas_of("counting", &digests).await? {
                for meta in record.responses.iter().filter(|meta| meta.generation == marks.responses) {
                    responses += 1;
                    sum = sum.saturating_add(meta.bytes);
                }
                for meta in record.aliases.iter().filter(|meta| meta.generation == marks.aliases) {
                    aliases += 1;
                    sum = sum.saturating_add(meta.bytes);
                }
            }
            match digests.last().and_then(beyond) {
                Some(next) if digests.len() == RECORDS => from = Some(next),
                _ => return Ok(Usage::new(responses, aliases, sum)),
            }
        }
    }

    fn ahead(&self) -> std::sync::MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The digest before this one.
fn before(digest: &Digest) -> Option<Digest> {
    step(digest, 0xff, |byte| byte.checked_sub(1))
}

/// The digest behind this one.
fn beyond(digest: &Digest) -> Option<Digest> {
    step(digest, 0, |byte| byte.checked_add(1))
}

fn step(digest: &Digest, carried: u8, change: impl Fn(u8) -> Option<u8>) -> Option<Digest> {
    let mut next = *digest;
    for byte in next.iter_mut().rev() {
        if let Some(changed) = change(*byte) {
            *byte = changed;
            return Some(next);
        }
        *byte = carried;
    }
    None
}

#[derive(Debug, Default)]
pub(super) struct Metas {
    pub(super) responses: Vec<Meta>,
    pub(super) aliases: Vec<Meta>,
}
