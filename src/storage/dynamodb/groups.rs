//! Invalidated groups: one item for each, with the time.

use std::collections::{HashMap, HashSet};

use super::Shared;
use super::layout::{self, AT, GROUP, KIND, ONLY_SK, PK};
use super::publish::condition_failed;
use crate::clock::Timestamp;
use crate::entry::{Group, StoredHead};
use crate::storage::StorageError;

/// The most groups one response may belong to: each is read at every lookup of it.
pub(super) const MOST: usize = 500;

/// The times at which groups were invalidated.
#[derive(Default)]
pub(super) struct Invalidations(HashMap<String, Timestamp>);

impl Invalidations {
    pub(super) fn covers(&self, shared: &Shared, head: &StoredHead) -> bool {
        !self.0.is_empty()
            && head.groups.iter().any(|group| {
                self.0.get(&shared.keys.group(group)).is_some_and(|at| head.response_time <= *at)
            })
    }
}

impl Shared {
    /// The latest time wins, whatever order they come in.
    pub(super) async fn invalidate_group(&self, group: &Group, at: Timestamp) -> Result<(), StorageError> {
        let readable = |text: &str| text.chars().take(512).collect::<String>();
        let update = self
            .client
            .update_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(self.keys.group(group), ONLY_SK)))
            .update_expression("SET #at = :at, #kind = :kind, #origin = :origin, #group = :group")
            .condition_expression("attribute_not_exists(#at) OR #at < :at")
            .set_expression_attribute_names(layout::names(&[AT, KIND, "origin", GROUP]))
            .expression_attribute_values(":at", layout::number(at.as_millis()))
            .expression_attribute_values(":kind", layout::text(GROUP))
            .expression_attribute_values(":origin", layout::text(readable(&group.origin)))
            .expression_attribute_values(":group", layout::text(readable(&group.name)));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(self.failed("invalidating a group")(error)),
        }
    }

    /// What is known of the groups of these heads. Asks nothing where there are none.
    pub(super) async fn invalidations(
        &self,
        heads: impl Iterator<Item = &StoredHead>,
    ) -> Result<Invalidations, StorageError> {
        let wanted: HashSet<_> = heads.flat_map(|head| &head.groups).collect();
        if wanted.is_empty() {
            return Ok(Invalidations::default());
        }
        let keys = wanted.into_iter().map(|group| layout::key_of(self.keys.group(group), ONLY_SK)).collect();
        let found = self.get_all("reading the times of groups", keys).await?;
        let time = |item: &layout::Item| {
            let pk = layout::get_text(item, PK)?.to_owned();
            Some((pk, Timestamp::from_millis(layout::get_number(item, AT)?)))
        };
        Ok(Invalidations(found.iter().filter_map(time).collect()))
    }
}
