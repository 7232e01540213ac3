//! A storage's options as a URL.

use std::time::Duration;

use super::options::{DynamoBuilder, invalid};
use crate::storage::StorageError;
use crate::storage::url::Options;

/// The builder that a URL describes: `dynamodb://table?region=...`.
///
/// # Errors
///
/// When it names no table, or an option that there is not.
pub(super) fn builder(url: &str) -> Result<DynamoBuilder, StorageError> {
    let rest = url.strip_prefix("dynamodb:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    let Some(rest) = rest else {
        return Err(invalid("opening a storage: its URL begins with `dynamodb://`".to_owned()));
    };
    let (table, query) = rest.split_once('?').unwrap_or((rest, ""));
    let table = table.strip_suffix('/').unwrap_or(table);
    let mut options = Options::parse("dynamodb", query)?;
    let builder = DynamoBuilder::new(table.to_owned());
    let builder = options.set(builder, "namespace", DynamoBuilder::namespace::<String>)?;
    let builder = options.set(builder, "region", DynamoBuilder::region::<String>)?;
    let builder = options.set(builder, "endpoint", DynamoBuilder::endpoint::<String>)?;
    let builder = options.set(builder, "create_table", DynamoBuilder::create_table)?;
    let builder = options.set(builder, "inline_threshold", DynamoBuilder::inline_threshold)?;
    let builder = options.set(builder, "chunk_size", DynamoBuilder::chunk_size)?;
    let builder = options.set(builder, "max_body", DynamoBuilder::max_body)?;
    let builder = options.set(builder, "max_variants", DynamoBuilder::max_variants)?;
    let builder = options.set(builder, "ttl", DynamoBuilder::ttl)?;
    let builder = options.set::<_, Duration>(builder, "ttl_margin", DynamoBuilder::ttl_margin)?;
    let builder = options.set(builder, "consistent_reads", DynamoBuilder::consistent_reads)?;
    let builder = options.set(builder, "connect_timeout", DynamoBuilder::connect_timeout)?;
    let builder = options.set(builder, "timeout", DynamoBuilder::timeout)?;
    let builder = options.set(builder, "attempts", DynamoBuilder::attempts)?;
    let strict = |builder: DynamoBuilder, strict| if strict { builder.strict() } else { builder };
    let builder = options.set(builder, "strict", strict)?;
    options.finish()?;
    Ok(builder)
}
