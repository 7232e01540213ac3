//! The transaction that publishes: with the check of both halves of the fence.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem};

use super::Shared;
use super::calls::unbuilt;
use super::error::NAME;
use super::fence::Moment;
use super::heads::HeadRef;
use super::layout::{self, EPOCH, FENCE_SK, GENERATION, ID, Item, PK};
use crate::key::CacheKey;
use crate::storage::{Fence, StorageError, StorageErrorKind};

/// From this attempt on, any head in the place is replaced. It may leave chunks that `maintain` reclaims.
const INSISTENT: u32 = 4;

/// What a transaction came to.
pub(super) enum Outcome {
    Done,
    /// The fence has moved.
    Refused,
    /// What was to be replaced is another one by now, or another transaction is at work there.
    Disturbed,
}

impl Shared {
    /// The transaction's first two items: both halves of the fence.
    pub(super) fn checks(
        &self,
        key: &CacheKey,
        pk: &str,
        fence: Fence,
    ) -> Result<Vec<TransactWriteItem>, StorageError> {
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

    /// Puts the new head in the place of exactly the one that was seen there, so that the chunks of whatever is
    /// replaced are known and can be deleted.
    pub(super) fn put(
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

    pub(super) fn delete(&self, key: Item) -> Result<TransactWriteItem, StorageError> {
        let delete = Delete::builder().table_name(&self.options.table).set_key(Some(key));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(unbuilt)?).build())
    }

    pub(super) async fn transact(
        &self,
        action: &str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Outcome, StorageError> {
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
        // The message contains the reasons as well: `[None, None, ThrottlingError]`.
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
