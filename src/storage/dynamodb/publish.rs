//! Publication of responses and aliases, and freshening.

use std::sync::atomic::Ordering::Relaxed;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::Shared;
use super::calls::{back_off, delete_of, unbuilt};
use super::chunks::covers;
use super::error::{NAME, condition_failed};
use super::fence::Moment;
use super::heads::HeadRef;
use super::layout::{self, CHUNKS_EXPIRE, EXPIRES, ID, Item, PK, PUBLISHED, check_size, stamp};
use super::transaction::Outcome;
use crate::clock::{Clock, SystemClock};
use crate::entry::{Alias, EntryId, StoredHead};
use crate::storage::{Fence, Published, StorageError, StorageErrorKind};

/// How often a publication is tried that others get in the way of.
const ATTEMPTS: u32 = 10;

impl Shared {
    /// Publishes a response, and takes away what it replaces and the variants beyond the limit.
    pub(super) async fn publish(
        &self,
        head: &StoredHead,
        mut item: Item,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        let (pk, sk) = (self.keys.entry(&head.key), layout::head_sk(head));
        stamp(&mut item, Moment::from(fence).generation);
        item.extend(layout::key_of(&pk, &sk));
        for attempt in 0..ATTEMPTS {
            let before = self.heads(&pk).await?;
            let (replaced, others): (Vec<_>, Vec<_>) = before
                .into_iter()
                .filter(HeadRef::is_response)
                .partition(|other| other.sk == sk || other.variant.as_deref() == Some(&sk));
            if replaced.iter().any(|other| other.id == Some(head.id)) {
                // An attempt succeeded whose answer was lost.
                return Ok(Published::Stored);
            }
            item.insert(PUBLISHED.to_owned(), layout::number(self.next_in_order()));
            let mut writes = self.checks(&head.key, &pk, fence)?;
            writes.push(self.put(item.clone(), &sk, &replaced, attempt)?);
            for moved in replaced.iter().filter(|other| other.sk != sk) {
                writes.push(self.delete(layout::key_of(&pk, &moved.sk))?);
            }
            match self.transact("publishing a response", writes).await? {
                Outcome::Done => {
                    self.tidy(&pk, replaced, others).await;
                    return Ok(Published::Stored);
                }
                Outcome::Refused => return self.refused().await,
                Outcome::Disturbed => back_off(attempt).await,
            }
        }
        Err(self.crowded("publishing a response"))
    }

    /// Publishes an alias in place of any other under its key.
    pub(super) async fn publish_alias(&self, alias: &Alias, fence: Fence) -> Result<Published, StorageError> {
        let key = &alias.response.head.key;
        let pk = self.keys.entry(key);
        let mut item = self.alias_item(alias)?;
        stamp(&mut item, Moment::from(fence).generation);
        item.insert(PK.to_owned(), layout::text(&pk));
        for attempt in 0..ATTEMPTS {
            let mut writes = self.checks(key, &pk, fence)?;
            let put = Put::builder().table_name(&self.options.table).set_item(Some(item.clone()));
            writes.push(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build());
            match self.transact("publishing an alias", writes).await? {
                Outcome::Done => return Ok(Published::Stored),
                Outcome::Refused => return self.refused().await,
                Outcome::Disturbed => back_off(attempt).await,
            }
        }
        Err(self.crowded("publishing an alias"))
    }

    async fn refused(&self) -> Result<Published, StorageError> {
        self.refresh_generations().await?;
        Ok(Published::Superseded)
    }

    fn crowded(&self, action: &str) -> StorageError {
        let text = format!("{action} in {}: other writers interfered {ATTEMPTS} times", self.place);
        StorageError::new(StorageErrorKind::Unavailable, NAME, text)
    }

    /// Microseconds, and a later publication of this handle never has an earlier one.
    fn next_in_order(&self) -> u64 {
        let now = u64::try_from(SystemClock.now().as_millis()).unwrap_or(0).saturating_mul(1000);
        let next = |last: u64| now.max(last.saturating_add(1));
        self.published.fetch_update(Relaxed, Relaxed, |last| Some(next(last))).map_or(now, next)
    }

    /// Deletes what a publication has made superfluous. The publication is valid, so what cannot be deleted now is
    /// left to [`maintain`](crate::storage::Storage::maintain).
    async fn tidy(&self, pk: &str, replaced: Vec<HeadRef>, mut others: Vec<HeadRef>) {
        others.sort_unstable_by_key(|other| std::cmp::Reverse(other.published));
        let beyond = others.split_off(others.len().min(self.options.max_variants.saturating_sub(1)));
        let heads = beyond.iter().map(|other| delete_of(layout::key_of(pk, &other.sk)));
        let Ok(deletes) = heads.collect::<Result<Vec<_>, _>>() else { return };
        if self.write_all("deleting what was replaced", deletes).await.is_ok() {
            drop(self.delete_chunks(pk, replaced.iter().chain(&beyond)).await);
        }
    }

    /// Replaces a head, if it is still the one with this id.
    pub(super) async fn freshen(&self, head: &StoredHead, _fence: Fence) -> Result<bool, StorageError> {
        // What was removed or cleared is gone with its id, and does not come back.
        let pk = self.keys.entry(&head.key);
        let found = self.heads(&pk).await?;
        let Some(found) = found.into_iter().find(|found| found.is_response() && found.id == Some(head.id))
        else {
            return Ok(false);
        };
        let mut item = self.head_attributes(head);
        check_size(&item)?;
        // A body must outlive its head.
        let chunks_expire = match self.expires(head.usable_until) {
            needed if found.chunks == 0 || covers(found.chunks_expire, needed) => None,
            _ => Some(self.chunks_expire(head.usable_until)),
        };
        if let Some(second) = chunks_expire
            && !self.prolong_chunks(&pk, &found, second).await?
        {
            self.delete_if_id(&pk, &found.sk, head.id).await?;
            return Ok(false);
        }
        if let Some(Some(second)) = chunks_expire {
            item.insert(CHUNKS_EXPIRE.to_owned(), layout::number(second));
        }
        let mut removed = vec![];
        if !item.contains_key(EXPIRES) {
            removed.push(EXPIRES);
        }
        if chunks_expire == Some(None) {
            removed.push(CHUNKS_EXPIRE);
        }
        self.set_if_id(&pk, &found.sk, head.id, item, &removed).await
    }

    /// Sets and removes attributes of an item, if it has this id.
    async fn set_if_id(
        &self,
        pk: &str,
        sk: &str,
        id: EntryId,
        mut set: Item,
        removed: &[&str],
    ) -> Result<bool, StorageError> {
        // It is what the condition asks for, and does not change.
        set.remove(ID);
        let mut used = vec![ID];
        used.extend(set.keys().map(String::as_str));
        used.extend(removed);
        let names = layout::names(&used);
        let sets: Vec<_> = set.keys().map(|name| format!("#{name} = :{name}")).collect();
        let mut expression = format!("SET {}", sets.join(", "));
        if !removed.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&layout::list(removed));
        }
        let mut values: Item = set.into_iter().map(|(name, value)| (format!(":{name}"), value)).collect();
        values.insert(":id".to_owned(), layout::text(id.to_string()));
        let update = self
            .client
            .update_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(pk, sk)))
            .update_expression(expression)
            .condition_expression("#id = :id")
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(values));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error) => Ok(false),
            Err(error) => Err(self.failed("freshening a response")(error)),
        }
    }
}
