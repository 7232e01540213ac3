//! Invalidation numbers of groups.

use redis::Value;

use super::call::{Call, Calls};
use super::layout::Names;
use super::link::{array, bytes};
use super::managers::Lane;
use super::marks::Marks;
use super::{Shared, scripts};
use crate::entry::{Alias, GroupId, StoredHead, StoredResponse};
use crate::random;
use crate::storage::StorageError;

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
const SLOTS: u32 = 1 << 16;

impl Shared {
    /// Asks for the groups' numbers only where something was invalidated since, and for all heads at once.
    pub(super) async fn mark_invalidated(
        &self,
        marks: &Marks,
        responses: &mut [StoredResponse],
        alias: Option<&mut Alias>,
    ) -> Result<(), StorageError> {
        let mut open = Vec::new();
        for response in responses.iter_mut().chain(alias.map(|alias| &mut alias.response)) {
            match marks.invalidated(&response.head) {
                Some(invalidated) => response.invalidated = invalidated,
                None => open.push(response),
            }
        }
        let calls: Calls =
            open.iter().map(|response| Marks::ask_groups(&self.names, &response.head)).collect();
        let replies = self.ask_all("asking for groups", Lane::Heads, true, calls).await?;
        for (response, reply) in open.into_iter().zip(replies) {
            response.invalidated = marks.invalidated_by(reply, &response.head);
        }
        Ok(())
    }

    pub(super) async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        if groups.is_empty() {
            return Ok(());
        }
        let action = "invalidating";
        self.marks_made(action).await?;
        let mark = format!("{:016x}", random::bits64());
        let fields: Vec<_> = groups.iter().map(|group| group_field(*group)).collect();
        let arguments: Vec<_> = std::iter::once(&mark).chain(&fields).map(String::as_bytes).collect();
        let call =
            Call::script(&scripts::INVALIDATE, &[&self.names.marks(), &self.names.groups()], &arguments);
        self.ask(action, Lane::Heads, false, call).await.map(drop)
    }
}

impl Marks {
    /// Whether one of the head's groups was invalidated since the lookup that led to it. `None` where that depends on
    /// the groups' numbers.
    fn invalidated(&self, head: &StoredHead) -> Option<bool> {
        match head.as_of {
            // The count went back, with a primary that was lost: what was counted since then is not known.
            as_of if as_of > self.invalidations => Some(true),
            as_of if as_of == self.invalidations => Some(false),
            as_of if as_of < self.lost => Some(true),
            _ => None,
        }
    }

    /// Asks for the numbers of the head's groups.
    fn ask_groups(names: &Names, head: &StoredHead) -> Call {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(names.groups()).arg("i");
        for group in head.group_ids() {
            cmd.arg(group_field(group));
        }
        cmd.into()
    }

    /// What the answer says of the head.
    fn invalidated_by(&self, reply: Value, head: &StoredHead) -> bool {
        let mut values = array(reply).into_iter().map(bytes);
        if values.next().flatten().unwrap_or_default() != self.groups {
            return true;
        }
        let number = |value: Vec<u8>| std::str::from_utf8(&value).ok()?.parse::<u64>().ok();
        values.flatten().any(|value| number(value).is_none_or(|number| number > head.as_of))
    }
}

/// The field of a group's slot.
fn group_field(group: GroupId) -> String {
    format!("{:04x}", group.slot(SLOTS))
}
