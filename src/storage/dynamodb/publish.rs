//! Making responses and aliases visible, in one transaction with the check of the fence.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem};

use super::calls::{back_off, delete_of, unbuilt};
use super::error::NAME;
use super::fences::Moment;
use super::heads::HeadRef;
use super::layout::{self, EPOCH, FENCE_SK, GENERATION, ID, Item, PK, PUBLISHED};
use super::{Shared, items};
use crate::clock::{Clock, SystemClock};
use crate::entry::{Alias, StoredHead};
use crate::key::CacheKey;
use crate::storage::{Fence, Published, StorageError, StorageErrorKind};

/// How often a publication is tried that others get in the way of.
const ATTEMPTS: u32 = 10;
/// From this attempt on, whatever stands in the place is replaced, at the price of parts that `maintain` reclaims.
const INSISTENT: u32 = 4;

/// What a transaction came to.
enum Outcome {
    Done,
    /// The fence has moved.
    Refused,
    /// What was to be replaced is another one by now, or another transaction is at work there.
    Disturbed,
}

/// Whether a conditional write of one item found its condition not met.
pub(super) fn condition_failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

impl Shared {
    /// Publishes a response, and takes away what it replaces and the variants beyond the limit.
    pub(super) async fn publish(
        &self,
        head: &StoredHead,
        mut item: Item,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        let (pk, sk) = (self.keys.entry(&head.key), layout::head_sk(head));
        items::stamp(&mut item, Moment::from(fence).generation);
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
        items::stamp(&mut item, Moment::from(fence).generation);
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
        let text = format!("{action} in {}: others were in the way {ATTEMPTS} times", self.place);
        StorageError::new(StorageErrorKind::Unavailable, NAME, text)
    }

    /// Microseconds, and a later publication of this handle never has an earlier one.
    fn next_in_order(&self) -> u64 {
        use std::sync::atomic::Ordering::Relaxed;
        let now = u64::try_from(SystemClock.now().as_millis()).unwrap_or(0).saturating_mul(1000);
        let next = |last: u64| now.max(last.saturating_add(1));
        self.published.fetch_update(Relaxed, Relaxed, |last| Some(next(last))).map_or(now, next)
    }

    /// The transaction's first two items: both halves of the fence.
    fn checks(&self, key: &CacheKey, pk: &str, fence: Fence) -> Result<Vec<TransactWriteItem>, StorageError> {
        let Moment { generation, epoch } = fence.into();
        let generation_key = self.generation_key(layout::shard(key));
        Ok(vec![
            self.check(generation_key, GENERATION, generation)?,
            self.check(layout::key_of(pk, FENCE_SK), EPOCH, epoch)?,
        ])
    }

    /// That this attribute has the value, where 0 stands for an item that is not there.
    fn check(&self, key: Item, name: &str, value: u32) -> Result<TransactWriteItem, StorageError> {
        let check = ConditionCheck::builder().table_name(&self.options.table).set_key(Some(key));
        let check = if value == 0 {
            check
                .condition_expression("attribute_not_exists(#pk)")
                .set_expression_attribute_names(layout::names(&[PK]))
        } else {
            check
                .condition_expression(format!("#{name} = :value"))
                .set_expression_attribute_names(layout::names(&[name]))
                .expression_attribute_values(":value", layout::number(value))
        };
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(unbuilt)?).build())
    }

    /// Puts the new head in the place of exactly the one that was seen there, so that the parts of whatever is
    /// replaced are known and can be deleted.
    fn put(
        &self,
        item: Item,
        sk: &str,
        replaced: &[HeadRef],
        attempt: u32,
    ) -> Result<TransactWriteItem, StorageError> {
        let put = Put::builder().table_name(&self.options.table).set_item(Some(item));
        let put = match replaced.iter().find(|other| other.sk == sk) {
            _ if attempt >= INSISTENT => put,
            None => put
                .condition_expression("attribute_not_exists(#pk)")
                .set_expression_attribute_names(layout::names(&[PK])),
            Some(HeadRef { id: Some(id), .. }) => put
                .condition_expression("#id = :id")
                .set_expression_attribute_names(layout::names(&[ID]))
                .expression_attribute_values(":id", layout::text(id.to_string())),
            Some(_) => put,
        };
        Ok(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build())
    }

    fn delete(&self, key: Item) -> Result<TransactWriteItem, StorageError> {
        let delete = Delete::builder().table_name(&self.options.table).set_key(Some(key));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(unbuilt)?).build())
    }

    async fn transact(&self, action: &str, writes: Vec<TransactWriteItem>) -> Result<Outcome, StorageError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let error = match sent {
            Ok(_) => return Ok(Outcome::Done),
            Err(error) => error,
        };
        let reasons = error.as_service_error().and_then(|service| match service {
            aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                Some(cancelled.cancellation_reasons().to_vec())
            }
            _ => None,
        });
        match reasons.map(|reasons| outcome(&reasons)) {
            Some(Some(outcome)) => Ok(outcome),
            Some(None) => Err(self.cancelled(action, error)),
            None => Err(self.failed(action)(error)),
        }
    }

    fn cancelled<E>(&self, action: &str, error: E) -> StorageError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let message = error.message().unwrap_or_default();
        // The reasons stand in the message as well: `[None, None, ThrottlingError]`.
        let kind = if message.contains("Throttl") || message.contains("ThroughputExceeded") {
            StorageErrorKind::Unavailable
        } else if message.contains("ItemCollectionSizeLimitExceeded") {
            StorageErrorKind::Full
        } else {
            StorageErrorKind::Other
        };
        let text = format!("{action} in {}: {message}", self.place);
        StorageError::new(kind, NAME, text).with_source(error)
    }

    /// Deletes what a publication has made superfluous. The publication stands, so whatever cannot be deleted now is
    /// left to [`maintain`](crate::storage::Storage::maintain).
    async fn tidy(&self, pk: &str, replaced: Vec<HeadRef>, mut others: Vec<HeadRef>) {
        others.sort_unstable_by_key(|other| std::cmp::Reverse(other.published));
        let beyond = others.split_off(others.len().min(self.options.max_variants.saturating_sub(1)));
        let heads = beyond.iter().map(|other| delete_of(layout::key_of(pk, &other.sk)));
        let Ok(deletes) = heads.collect::<Result<Vec<_>, _>>() else { return };
        if self.write_all("deleting what was replaced", deletes).await.is_ok() {
            drop(self.delete_parts(pk, replaced.iter().chain(&beyond)).await);
        }
    }
}

/// `None` for reasons that are failures.
fn outcome(reasons: &[CancellationReason]) -> Option<Outcome> {
    const FAILED: &str = "ConditionalCheckFailed";
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    let codes: Vec<_> = reasons.iter().map(code).collect();
    if codes.iter().take(2).any(|code| code == FAILED) {
        Some(Outcome::Refused)
    } else if codes.iter().any(|code| code == FAILED || code == "TransactionConflict") {
        Some(Outcome::Disturbed)
    } else {
        None
    }
}
