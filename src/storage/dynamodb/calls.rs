//! The calls that take several requests: batches with what was left unprocessed, pages of queries and scans.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};

use super::error::NAME;
use super::layout::{self, Item, PK, SK};
use super::{Shared, error};
use crate::clock;
use crate::storage::{StorageError, StorageErrorKind};

/// The service's limits for one call.
const MOST_WRITES: usize = 25;
const MOST_READS: usize = 100;

/// How often what the service left unprocessed is sent again: some seconds in all.
const ATTEMPTS: u32 = 8;

/// Waits a random while, longer with each attempt: writers that got into each other's way part.
pub(super) async fn back_off(attempt: u32) {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(2);
    let bound = u64::try_from(clock::back_off(FIRST, attempt, LONGEST).as_millis()).unwrap_or(1);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=bound))).await;
}

/// A part of a call that lacks something: cannot be, as all of it is set here.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unbuilt(error: BuildError) -> StorageError {
    StorageError::new(StorageErrorKind::Other, NAME, "making a call").with_source(error)
}

pub(super) fn put_of(item: Item) -> Result<WriteRequest, StorageError> {
    let put = PutRequest::builder().set_item(Some(item)).build().map_err(unbuilt)?;
    Ok(WriteRequest::builder().put_request(put).build())
}

pub(super) fn delete_of(key: Item) -> Result<WriteRequest, StorageError> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(unbuilt)?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}

/// What a query asks for.
#[derive(Default)]
pub(super) struct Range<'a> {
    pub(super) pk: &'a str,
    /// Sort keys from here to there, both included.
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// Only these attributes; all if empty.
    pub(super) only: &'a [&'a str],
    /// At most so many items.
    pub(super) limit: Option<i32>,
    pub(super) consistent: bool,
}

/// A page of a scan.
pub(super) struct Scanned {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<Item>,
}

impl Shared {
    pub(super) fn failed<E, R>(
        &self,
        action: &str,
    ) -> impl FnOnce(aws_sdk_dynamodb::error::SdkError<E, R>) -> StorageError
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        move |failure| {
            if failure
                .as_service_error()
                .is_some_and(|service| service.code() == Some("ResourceNotFoundException"))
            {
                self.forget_ready();
            }
            error::failed(action, &self.place, failure)
        }
    }

    fn throttled(&self, action: &str) -> StorageError {
        let text = format!("{action} in {}: the server left a part undone {ATTEMPTS} times", self.place);
        StorageError::new(StorageErrorKind::Unavailable, NAME, text)
    }

    /// Puts and deletes any number of items, in no order and not atomically.
    pub(super) async fn write_all(
        &self,
        action: &str,
        writes: Vec<WriteRequest>,
    ) -> Result<(), StorageError> {
        for batch in writes.chunks(MOST_WRITES) {
            let mut left = batch.to_vec();
            let mut attempt = 0;
            while !left.is_empty() {
                let before = left.len();
                let sent =
                    self.client.batch_write_item().request_items(&self.options.table, left).send().await;
                let unprocessed = sent.map_err(self.failed(action))?.unprocessed_items;
                left = unprocessed.into_iter().flatten().flat_map(|(_, writes)| writes).collect();
                if left.is_empty() {
                    break;
                }
                // Only where nothing at all was done the service has no room for us.
                attempt = if left.len() < before { 0 } else { attempt + 1 };
                if attempt == ATTEMPTS {
                    return Err(self.throttled(action));
                }
                back_off(attempt).await;
            }
        }
        Ok(())
    }

    /// The items of these keys that there are, in no order. Always strongly consistent.
    pub(super) async fn get_all(&self, action: &str, keys: Vec<Item>) -> Result<Vec<Item>, StorageError> {
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(MOST_READS) {
            let mut left = batch.to_vec();
            let mut attempt = 0;
            while !left.is_empty() {
                let wanted = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true);
                let wanted = wanted.build().map_err(unbuilt)?;
                let got =
                    self.client.batch_get_item().request_items(&self.options.table, wanted).send().await;
                let got = got.map_err(self.failed(action))?;
                let items: Vec<_> =
                    got.responses.into_iter().flatten().flat_map(|(_, items)| items).collect();
                left = got.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
                // A full answer leaves the rest for the next call; only an empty one means throttling.
                if items.is_empty() && !left.is_empty() {
                    if attempt == ATTEMPTS {
                        return Err(self.throttled(action));
                    }
                    back_off(attempt).await;
                    attempt += 1;
                }
                found.extend(items);
            }
        }
        Ok(found)
    }

    /// One page of a partition's range, at most a megabyte.
    async fn query_page(
        &self,
        action: &str,
        range: &Range<'_>,
        after: Option<Item>,
    ) -> Result<Scanned, StorageError> {
        let mut used = vec![PK, SK];
        used.extend(range.only.iter().filter(|name| ![PK, SK].contains(name)));
        let values = HashMap::from([
            (":pk".to_owned(), layout::text(range.pk)),
            (":from".to_owned(), layout::text(range.from)),
            (":to".to_owned(), layout::text(range.to)),
        ]);
        let query = self
            .client
            .query()
            .table_name(&self.options.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .set_expression_attribute_names(layout::names(&used))
            .set_expression_attribute_values(Some(values))
            .set_projection_expression((!range.only.is_empty()).then(|| layout::list(range.only)))
            .set_limit(range.limit)
            .consistent_read(range.consistent)
            .set_exclusive_start_key(after);
        let page = query.send().await.map_err(self.failed(action))?;
        Ok(Scanned { items: page.items.unwrap_or_default(), next: page.last_evaluated_key })
    }

    /// All of a partition's range, or as much of it as the limit says.
    pub(super) async fn query(&self, action: &str, range: Range<'_>) -> Result<Vec<Item>, StorageError> {
        let page = self.query_page(action, &range, None).await?;
        let (mut items, mut next) = (page.items, page.next);
        while let Some(after) = next.take().filter(|after| !after.is_empty() && range.limit.is_none()) {
            let page = self.query_page(action, &range, Some(after)).await?;
            items.extend(page.items);
            next = page.next;
        }
        Ok(items)
    }

    /// One page of this namespace's items that pass the filter, a megabyte of the table having been read.
    pub(super) async fn scan(
        &self,
        action: &str,
        only: &[&str],
        filter: Option<(&str, AttributeValue)>,
        limit: Option<i32>,
        after: Option<Item>,
    ) -> Result<Scanned, StorageError> {
        let mut used = only.to_vec();
        if !used.contains(&PK) {
            used.push(PK);
        }
        let mut values = HashMap::from([(":prefix".to_owned(), layout::text(self.keys.prefix()))]);
        let mut expression = "begins_with(#pk, :prefix)".to_owned();
        if let Some((name, value)) = filter {
            expression.push_str(&format!(" AND #{name} = :wanted"));
            values.insert(":wanted".to_owned(), value);
            if !used.contains(&name) {
                used.push(name);
            }
        }
        let scan = self
            .client
            .scan()
            .table_name(&self.options.table)
            .filter_expression(expression)
            .set_expression_attribute_names(layout::names(&used))
            .set_expression_attribute_values(Some(values))
            .projection_expression(layout::list(only))
            .set_limit(limit)
            .consistent_read(self.options.consistent_reads)
            .set_exclusive_start_key(after);
        let page = scan.send().await.map_err(self.failed(action))?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Scanned { items: page.items.unwrap_or_default(), next })
    }
}
