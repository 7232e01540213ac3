//! Maintenance: removes what is no longer usable.
//!
//! It reads the whole table, as [`clear`](crate::storage::Storage::clear) does. DynamoDB gives the items of one partition
//! one behind the other, heads before chunks, so that whether a chunk has a head is known from the partition at hand.

use std::collections::HashSet;

use super::Shared;
use super::calls::delete_of;
use super::error::condition_failed;
use super::heads::HeadRef;
use super::layout::{self, CHUNKS, EXPIRES, FENCE, ID, Item, KIND, PK, SK, USABLE_UNTIL, WRITTEN};
use crate::clock::Timestamp;
use crate::entry::EntryId;
use crate::storage::{Maintained, StorageError};

/// A chunk without a head may belong to a writer at work, for so long. DynamoDB tells no time, so this compares the
/// writer's clock with that of the one who maintains. Where they differ by hours, a body at work can lose chunks; its
/// reader then finds that they are missing, and never other bytes.
const AT_WORK: i64 = 6 * 3600 * 1000;

impl Shared {
    pub(super) async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        let mut sweep = Sweep { now, ..Sweep::default() };
        let mut from = None;
        loop {
            let only = [PK, SK, KIND, ID, CHUNKS, USABLE_UNTIL, EXPIRES, WRITTEN];
            let scanned = self.scan("maintaining", &only, None, None, from).await?;
            for item in &scanned.items {
                let pk = layout::get_text(item, PK).unwrap_or_default();
                if pk != sweep.pk {
                    self.finish_partition(&mut sweep).await?;
                    pk.clone_into(&mut sweep.pk);
                }
                sweep.take(item);
            }
            from = scanned.next;
            if from.is_none() {
                self.finish_partition(&mut sweep).await?;
                return Ok(Maintained::new(sweep.expired, sweep.orphans));
            }
        }
    }

    /// Deletes what the partition just read has to spare.
    async fn finish_partition(&self, sweep: &mut Sweep) -> Result<(), StorageError> {
        let pk = std::mem::take(&mut sweep.pk);
        let expired = std::mem::take(&mut sweep.heads);
        let fences = std::mem::take(&mut sweep.fences);
        let mut chunks = std::mem::take(&mut sweep.chunks);
        let mut live = std::mem::take(&mut sweep.live);

        let mut gone = Vec::new();
        for head in expired {
            if self.delete_if_expired(&pk, &head.sk, sweep.now).await? {
                sweep.expired += 1;
                gone.extend(head.id);
            } else {
                live.extend(head.id);
            }
        }
        chunks.retain(|(id, _, _)| !live.contains(id));
        if chunks.iter().any(|(id, _, _)| !gone.contains(id)) {
            // One of them may have got its head since.
            live.extend(self.heads(&pk).await?.into_iter().filter_map(|head| head.id));
            chunks.retain(|(id, _, _)| !live.contains(id));
        }
        let mut deletes = Vec::new();
        // First every fill under way is refused, so that none is let in because its removal is forgotten.
        if !fences.is_empty() && !sweep.fenced_off {
            self.new_generation().await?;
            sweep.fenced_off = true;
        }
        for sk in fences {
            deletes.push(delete_of(layout::key_of(&pk, sk))?);
        }
        for (id, sk, written) in chunks {
            let of_a_removed_head = gone.contains(&id);
            if of_a_removed_head || written.plus_millis(AT_WORK) < sweep.now {
                sweep.orphans += u64::from(!of_a_removed_head);
                deletes.push(delete_of(layout::key_of(&pk, sk))?);
            }
        }
        self.write_all("maintaining", deletes).await
    }

    async fn delete_if_expired(&self, pk: &str, sk: &str, now: Timestamp) -> Result<bool, StorageError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(pk, sk)))
            .condition_expression("#usable_until <= :now")
            .set_expression_attribute_names(layout::names(&[USABLE_UNTIL]))
            .expression_attribute_values(":now", layout::number(now.as_millis()));
        match delete.send().await {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error) => Ok(false),
            Err(error) => Err(self.failed("maintaining")(error)),
        }
    }
}

/// The partition at hand, and what was done so far.
#[derive(Default)]
struct Sweep {
    now: Timestamp,
    pk: String,
    heads: Vec<HeadRef>,
    live: HashSet<EntryId>,
    fences: Vec<String>,
    /// Whether the fills were refused that began before this.
    fenced_off: bool,
    /// Chunks without a head that stays: body, sort key, and when they were written.
    chunks: Vec<(EntryId, String, Timestamp)>,
    expired: u64,
    orphans: u64,
}

impl Sweep {
    fn take(&mut self, item: &Item) {
        let Some(sk) = layout::get_text(item, SK) else { return };
        if let Some(head) = HeadRef::of(item) {
            let until = layout::get_number(item, USABLE_UNTIL).map(Timestamp::from_millis);
            if until.is_some_and(|until| until <= self.now) {
                self.heads.push(head);
            } else {
                self.live.extend(head.id);
            }
        } else if layout::get_text(item, KIND) == Some(FENCE) {
            let expires = layout::get_number(item, EXPIRES).map(Timestamp::from_secs);
            if expires.is_some_and(|expires| expires <= self.now) {
                self.fences.push(sk.to_owned());
            }
        } else if let Some(id) = layout::chunk_id(sk).and_then(layout::parse_id)
            && !self.live.contains(&id)
        {
            let written = layout::get_number(item, WRITTEN).map_or(Timestamp::EPOCH, Timestamp::from_millis);
            self.chunks.push((id, sk.to_owned(), written));
        }
    }
}
