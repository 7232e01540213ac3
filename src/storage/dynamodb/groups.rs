//! Invalidated groups: a count of all invalidations, and an item for each slot with the number of its last one.
//!
//! A handle remembers the count as it remembers generations: another's invalidation makes it a lower one than the
//! table's, and a response that carries a lower one is at worst validated once too often. It learns of higher ones from
//! the slots that it reads.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::ReturnValue;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Shared;
use super::error::{NAME, condition_failed, too_large};
use super::layout::{self, COUNT, Item, KIND, NUMBER, ONLY_SK, PK, SLOT};
use crate::clock::{Clock, SystemClock};
use crate::entry::{GroupId, StoredHead};
use crate::storage::{StorageError, StorageErrorKind};

/// The most groups one response may belong to: each is read at every lookup of it.
const MOST: usize = 500;
/// Slots written at the same time.
const TOGETHER: usize = 50;

/// The count of invalidations as this handle knows it.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn learn(&self, number: u64) {
        self.0.fetch_max(number, Ordering::AcqRel);
    }

    /// A table that was made anew counts anew.
    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Release);
    }
}

/// The numbers of slots.
#[derive(Default)]
pub(super) struct Slots {
    asked: HashSet<String>,
    numbers: HashMap<String, u64>,
}

impl Slots {
    pub(super) fn latest(&self) -> u64 {
        self.numbers.values().copied().filter(|number| *number < u64::MAX).max().unwrap_or(0)
    }

    pub(super) fn cover(&self, shared: &Shared, head: &StoredHead) -> bool {
        !self.numbers.is_empty()
            && head.group_ids().any(|group| {
                self.numbers.get(&shared.keys.slot(group)).is_some_and(|number| *number > head.as_of)
            })
    }
}

impl Shared {
    pub(super) fn count_key(&self) -> Item {
        layout::key_of(self.keys.invalidations(), ONLY_SK)
    }

    /// Takes over what these items say of the count; without an item there was no invalidation.
    pub(super) fn remember_count(&self, found: &[Item]) {
        let pk = self.keys.invalidations();
        let item = found.iter().find(|item| layout::get_text(item, PK) == Some(&pk));
        self.count.set(item.and_then(|item| layout::get_number(item, NUMBER)).unwrap_or(0));
    }

    /// Counts an invalidation, and gives its number to the groups' slots.
    pub(super) async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        if groups.is_empty() {
            return Ok(());
        }
        let number = self.next_number().await?;
        let slots: HashSet<_> = groups.iter().map(|group| self.keys.slot(*group)).collect();
        let writes = stream::iter(slots).map(|slot| self.number_slot(slot, number));
        writes.buffer_unordered(TOGETHER).try_collect().await
    }

    async fn next_number(&self) -> Result<u64, StorageError> {
        let action = "counting an invalidation";
        // A table that was dropped and made anew does not begin where a head from before could have a higher number.
        let start = SystemClock.now().as_millis().max(0).saturating_mul(1000);
        let update = self
            .client
            .update_item()
            .table_name(&self.options.table)
            .set_key(Some(self.count_key()))
            .update_expression("SET #number = if_not_exists(#number, :start) + :one, #kind = :kind")
            .set_expression_attribute_names(layout::names(&[NUMBER, KIND]))
            .expression_attribute_values(":start", layout::number(start))
            .expression_attribute_values(":one", layout::number(1))
            .expression_attribute_values(":kind", layout::text(COUNT))
            .return_values(ReturnValue::UpdatedNew);
        let updated = update.send().await.map_err(self.failed(action))?;
        let number = updated.attributes.as_ref().and_then(|item| layout::get_number(item, NUMBER));
        let number = number.ok_or_else(|| {
            let text = format!("{action} in {}: the answer has no number", self.place);
            StorageError::new(StorageErrorKind::Corrupt, NAME, text)
        })?;
        self.count.learn(number);
        Ok(number)
    }

    /// The highest number wins, whatever order they come in.
    async fn number_slot(&self, slot: String, number: u64) -> Result<(), StorageError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(slot, ONLY_SK)))
            .update_expression("SET #number = :number, #kind = :kind")
            .condition_expression("attribute_not_exists(#number) OR #number < :number")
            .set_expression_attribute_names(layout::names(&[NUMBER, KIND]))
            .expression_attribute_values(":number", layout::number(number))
            .expression_attribute_values(":kind", layout::text(SLOT));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(self.failed("invalidating")(error)),
        }
    }

    /// Adds the numbers of these groups' slots. Asks nothing where all of them are known.
    pub(super) async fn read_slots(
        &self,
        slots: &mut Slots,
        groups: impl Iterator<Item = GroupId>,
    ) -> Result<(), StorageError> {
        let wanted: Vec<_> = groups
            .map(|group| self.keys.slot(group))
            .filter(|slot| slots.asked.insert(slot.clone()))
            .map(|slot| layout::key_of(slot, ONLY_SK))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for item in self.get_all("reading the slots of groups", wanted).await? {
            let Some(pk) = layout::get_text(&item, PK) else { continue };
            // One without a number says that nobody knows.
            let number = layout::get_number(&item, NUMBER);
            slots.numbers.insert(pk.to_owned(), number.unwrap_or(u64::MAX));
            self.count.learn(number.unwrap_or(0));
        }
        Ok(())
    }
}

/// Refuses a response of more groups than one may have.
pub(super) fn check_groups(head: &StoredHead) -> Result<(), StorageError> {
    if head.groups.len() <= MOST {
        return Ok(());
    }
    let (of, most) = (head.groups.len(), MOST);
    Err(too_large(format!("storing a response of {of} groups: the limit is {most}")))
}
