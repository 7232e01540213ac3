//! What stands under a key, without the bodies: for replacing, freshening and removing.

use super::calls::{Range, delete_of};
use super::layout::{self, ALIAS_SK, EXPIRES, ID, Item, KIND, PARTS, PARTS_EXPIRE, PARTS_SK, PUBLISHED, SK};
use super::publish::condition_failed;
use super::{Shared, calls};
use crate::entry::{EntryId, StoredHead};
use crate::key::CacheKey;
use crate::storage::{Fence, StorageError};

/// Up to so many parts are deleted by their number. Beyond it, it is read which ones there are: the number in an item may
/// be anything that somebody else wrote.
const COUNTED: u32 = 1000;

/// A response or alias in the table.
#[derive(Clone, Debug)]
pub(super) struct HeadRef {
    pub(super) sk: String,
    /// `None` where the item is not one of ours.
    pub(super) id: Option<EntryId>,
    pub(super) parts: u32,
    pub(super) parts_expire: Option<i64>,
    pub(super) published: u64,
    pub(super) variant: Option<String>,
}

/// The attributes a [`HeadRef`] is made of.
pub(super) const REF: [&str; 7] = [SK, KIND, ID, PARTS, PARTS_EXPIRE, PUBLISHED, "variant"];

impl HeadRef {
    /// `None` for a fence, or for what nobody knows.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let sk = layout::get_text(item, SK)?;
        if !layout::is_alias(sk) && !layout::is_head(sk) {
            return None;
        }
        Some(Self {
            sk: sk.to_owned(),
            id: layout::get_id(item),
            parts: layout::get_number(item, PARTS).unwrap_or(0),
            parts_expire: layout::get_number(item, PARTS_EXPIRE),
            published: layout::get_number(item, PUBLISHED).unwrap_or(0),
            variant: layout::get_text(item, "variant").map(ToOwned::to_owned),
        })
    }

    pub(super) fn is_response(&self) -> bool {
        layout::is_head(&self.sk)
    }

    /// The keys of the parts of its body.
    pub(super) fn part_keys<'a>(&'a self, pk: &'a str) -> impl Iterator<Item = Item> + 'a {
        let id = self.id;
        (0..self.parts).filter_map(move |index| Some(layout::key_of(pk, layout::part_sk(id?, index))))
    }
}

impl Shared {
    /// All responses and the alias of a partition. Always strongly consistent.
    pub(super) async fn heads(&self, pk: &str) -> Result<Vec<HeadRef>, StorageError> {
        let range =
            Range { pk, from: ALIAS_SK, to: PARTS_SK, only: &REF, consistent: true, ..Range::default() };
        let items = self.query("reading what is stored under a key", range).await?;
        Ok(items.iter().filter_map(HeadRef::of).collect())
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
        super::items::check_size(&item)?;
        // A body must outlive its head.
        let parts_expire = match self.expires(head.usable_until) {
            needed if found.parts == 0 || covers(found.parts_expire, needed) => None,
            _ => Some(self.parts_expire(head.usable_until)),
        };
        if let Some(second) = parts_expire
            && !self.prolong_parts(&pk, &found, second).await?
        {
            self.delete_if_id(&pk, &found.sk, head.id).await?;
            return Ok(false);
        }
        if let Some(Some(second)) = parts_expire {
            item.insert(PARTS_EXPIRE.to_owned(), layout::number(second));
        }
        let mut removed = vec![];
        if !item.contains_key(EXPIRES) {
            removed.push(EXPIRES);
        }
        if parts_expire == Some(None) {
            removed.push(PARTS_EXPIRE);
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

    /// Gives all parts of a body a later time to expire; says whether all were there.
    async fn prolong_parts(
        &self,
        pk: &str,
        head: &HeadRef,
        second: Option<i64>,
    ) -> Result<bool, StorageError> {
        for key in head.part_keys(pk) {
            let update = self
                .client
                .update_item()
                .table_name(&self.options.table)
                .set_key(Some(key))
                .condition_expression("attribute_exists(#pk)")
                .set_expression_attribute_names(layout::names(&[layout::PK, EXPIRES]));
            let update = match second {
                Some(second) => update
                    .update_expression("SET #expires = :expires")
                    .expression_attribute_values(":expires", layout::number(second)),
                None => update.update_expression("REMOVE #expires"),
            };
            match update.send().await {
                Ok(_) => {}
                Err(error) if condition_failed(&error) => return Ok(false),
                Err(error) => return Err(self.failed("keeping a body longer")(error)),
            }
        }
        Ok(true)
    }

    /// Removes everything under a key; says whether there was anything.
    pub(super) async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let pk = self.keys.entry(key);
        self.new_epoch(&pk).await?;
        let found = self.heads(&pk).await?;
        self.delete_heads(&pk, &found).await?;
        Ok(!found.is_empty())
    }

    /// Deletes heads, then their bodies: parts that are in the way of nobody may stay behind, a head may not.
    pub(super) async fn delete_heads(&self, pk: &str, heads: &[HeadRef]) -> Result<(), StorageError> {
        let deletes = heads.iter().map(|head| delete_of(layout::key_of(pk, &head.sk)));
        self.write_all("removing what is stored under a key", deletes.collect::<Result<_, _>>()?).await?;
        self.delete_parts(pk, heads).await
    }

    pub(super) async fn delete_parts<'a>(
        &self,
        pk: &str,
        heads: impl IntoIterator<Item = &'a HeadRef> + Send,
    ) -> Result<(), StorageError> {
        let doing = "removing a body";
        let (many, few): (Vec<_>, Vec<_>) = heads.into_iter().partition(|head| head.parts > COUNTED);
        let parts = few.into_iter().flat_map(|head| head.part_keys(pk)).map(calls::delete_of);
        self.write_all(doing, parts.collect::<Result<_, _>>()?).await?;
        for id in many.into_iter().filter_map(|head| head.id) {
            let (from, to) = (layout::part_sk(id, 0), layout::part_sk(id, layout::MOST_PARTS - 1));
            loop {
                let limit = Some(100);
                let range = Range { pk, from: &from, to: &to, only: &[SK], limit, consistent: true };
                let found = self.query(doing, range).await?;
                if found.is_empty() {
                    break;
                }
                let found = found.iter().filter_map(|item| layout::get_text(item, SK));
                let deletes = found.map(|sk| delete_of(layout::key_of(pk, sk)));
                self.write_all(doing, deletes.collect::<Result<_, _>>()?).await?;
            }
        }
        Ok(())
    }

    /// Removes the one response or alias with this id.
    pub(super) async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        let pk = self.keys.entry(key);
        let found = self.heads(&pk).await?;
        let Some(found) = found.into_iter().find(|found| found.id == Some(id)) else { return Ok(false) };
        if !self.delete_if_id(&pk, &found.sk, id).await? {
            return Ok(false);
        }
        self.delete_parts(&pk, [&found]).await?;
        Ok(true)
    }

    pub(super) async fn delete_if_id(&self, pk: &str, sk: &str, id: EntryId) -> Result<bool, StorageError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(pk, sk)))
            .condition_expression("#id = :id")
            .set_expression_attribute_names(layout::names(&[ID]))
            .expression_attribute_values(":id", layout::text(id.to_string()));
        match delete.send().await {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error) => Ok(false),
            Err(error) => Err(self.failed("removing a response")(error)),
        }
    }

    /// Removes an item that cannot be read, unless it was replaced meanwhile.
    pub(super) async fn delete_garbage(&self, pk: &str, sk: &str, id: Option<String>) {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.options.table)
            .set_key(Some(layout::key_of(pk, sk)))
            .set_expression_attribute_names(layout::names(&[ID]));
        let delete = match id {
            Some(id) => {
                delete.condition_expression("#id = :id").expression_attribute_values(":id", layout::text(id))
            }
            None => delete.condition_expression("attribute_not_exists(#id)"),
        };
        // Whoever reads it next tries again.
        drop(delete.send().await);
    }
}

/// Whether parts that expire then are there as long as their head.
fn covers(parts_expire: Option<i64>, head_expires: Option<i64>) -> bool {
    match (parts_expire, head_expires) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(parts), Some(head)) => parts >= head,
    }
}
