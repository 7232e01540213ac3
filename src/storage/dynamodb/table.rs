//! Getting the table ready: creating it if allowed, and the mark of the layout's version.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};

use super::Shared;
use super::calls::unbuilt;
use super::error::{NAME, condition_failed};
use super::layout::{self, EXPIRES, KIND, ONLY_SK, PK, SCHEMA, SK, VERSION};
use crate::clock;
use crate::storage::{StorageError, StorageErrorKind};

/// A new table is usually ready within ten seconds.
const CREATING: Duration = Duration::from_secs(60);
/// Pauses between questions whether it is.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Shared {
    /// Makes sure, once, that the table is there and can be used.
    pub(super) async fn ready(&self) -> Result<(), StorageError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one = self.preparing.lock().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.prepare().await {
            Err(error) if self.options.create_table && self.table_is_missing(&error) => {
                self.create_table().await?;
                self.prepare().await?;
            }
            done => done?,
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// The table has gone: the next call looks for it, and may create it.
    pub(super) fn forget_ready(&self) {
        self.ready.store(false, Ordering::Release);
    }

    fn table_is_missing(&self, error: &StorageError) -> bool {
        error.kind() == StorageErrorKind::Unavailable
            && error.to_string().contains("ResourceNotFoundException")
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        let mut keys = vec![layout::key_of(self.keys.schema(), ONLY_SK)];
        keys.extend((0..layout::SHARDS).map(|shard| self.generation_key(shard)));
        keys.push(self.count_key());
        let found = self.get_all("reading the mark of the layout", keys).await?;
        let mark = found.iter().find(|item| item.contains_key(VERSION));
        match mark.map(|item| layout::get_number::<u64>(item, VERSION)) {
            None => self.write_mark().await?,
            Some(Some(SCHEMA)) => {}
            Some(found) => {
                let found = found.map_or_else(|| "an unknown one".to_owned(), |found| found.to_string());
                let text = format!(
                    "the cache {:?} in {} has layout {found}, and this larder reads {SCHEMA}: upgrade, or choose another namespace",
                    self.options.namespace, self.place
                );
                return Err(StorageError::new(StorageErrorKind::Incompatible, NAME, text));
            }
        }
        self.remember_generations(&found);
        self.remember_count(&found);
        Ok(())
    }

    async fn write_mark(&self) -> Result<(), StorageError> {
        let mut item = layout::key_of(self.keys.schema(), ONLY_SK);
        item.insert(KIND.to_owned(), layout::text("schema"));
        item.insert(VERSION.to_owned(), layout::number(SCHEMA));
        let put = self
            .client
            .put_item()
            .table_name(&self.options.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk)")
            .set_expression_attribute_names(layout::names(&[PK]));
        match put.send().await {
            Ok(_) => Ok(()),
            // Another handle was faster.
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => match self.failed("writing the mark of the layout")(error) {
                // Who may only read can read.
                error if error.kind() == StorageErrorKind::Denied => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn create_table(&self) -> Result<(), StorageError> {
        let table = &self.options.table;
        let mut create =
            self.client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, role) in [(PK, KeyType::Hash), (SK, KeyType::Range)] {
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .map_err(unbuilt)?;
            let element =
                KeySchemaElement::builder().attribute_name(name).key_type(role).build().map_err(unbuilt)?;
            create = create.attribute_definitions(attribute).key_schema(element);
        }
        match create.send().await {
            Ok(_) => {}
            // Another handle is creating it.
            Err(error)
                if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {}
            Err(error) => return Err(self.failed("creating the table")(error)),
        }
        self.until_active().await?;
        if self.options.ttl {
            self.enable_ttl().await;
        }
        Ok(())
    }

    async fn until_active(&self) -> Result<(), StorageError> {
        let deadline = tokio::time::Instant::now() + CREATING;
        let mut asked = 0;
        loop {
            let described = self.client.describe_table().table_name(&self.options.table).send().await;
            match described {
                Ok(table) => {
                    if table.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
                        return Ok(());
                    }
                }
                // Creation is not seen everywhere at once.
                Err(error) if error.code() == Some("ResourceNotFoundException") => {}
                Err(error) => return Err(self.failed("waiting for the new table")(error)),
            }
            if tokio::time::Instant::now() >= deadline {
                let text = format!("waiting for the new {}: it is not active after {CREATING:?}", self.place);
                return Err(StorageError::new(StorageErrorKind::Timeout, NAME, text));
            }
            tokio::time::sleep(clock::back_off(FIRST_PAUSE, asked, LONGEST_PAUSE)).await;
            asked = asked.saturating_add(1);
        }
    }

    /// A table without it works as well: `maintain` reclaims what has expired. So a server that lacks it, or a policy
    /// that does not allow it, is no reason to fail.
    async fn enable_ttl(&self) {
        let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES).build();
        let Ok(specification) = specification else { return };
        let update = self.client.update_time_to_live().table_name(&self.options.table);
        let result = update.time_to_live_specification(specification).send().await;
        #[cfg(feature = "tracing")]
        if let Err(error) = &result {
            let reason = error.message().unwrap_or_default();
            tracing::warn!(place = %self.place, reason, "expired items will not be deleted by the server");
        }
        drop(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_the_one_that_is_created() {
        let documentation = include_str!("mod.rs");
        for name in [PK, SK, EXPIRES] {
            assert!(documentation.contains(&format!("AttributeName: {name}")), "{name}");
        }
        assert_eq!((PK, SK), ("pk", "sk"));
    }
}
