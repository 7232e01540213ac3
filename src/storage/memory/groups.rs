//! Which groups were invalidated, and when.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::clock::Timestamp;
use crate::entry::{Group, StoredHead};

/// Beyond this many groups the older half is remembered as if all groups had been invalidated then.
const REMEMBERED: usize = 8192;

#[derive(Default)]
pub(super) struct InvalidatedGroups(RwLock<Times>);

#[derive(Default)]
struct Times {
    of: HashMap<Group, Timestamp>,
    of_all: Option<Timestamp>,
}

impl InvalidatedGroups {
    pub(super) fn invalidate(&self, group: &Group, at: Timestamp) {
        let mut times = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if times.of.len() >= REMEMBERED && !times.of.contains_key(group) {
            times.forget_older_half();
        }
        let time = times.of.entry(group.clone()).or_insert(at);
        *time = at.max(*time);
    }

    pub(super) fn invalidated(&self, head: &StoredHead) -> bool {
        if head.groups.is_empty() {
            return false;
        }
        let times = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let covers = |at: &Timestamp| head.response_time <= *at;
        times.of_all.as_ref().is_some_and(covers)
            || head.groups.iter().any(|group| times.of.get(group).is_some_and(covers))
    }
}

impl Times {
    fn forget_older_half(&mut self) {
        let mut all: Vec<_> = self.of.values().copied().collect();
        let middle = all.len() / 2;
        let (_, median, _) = all.select_nth_unstable(middle);
        let until = *median;
        self.of.retain(|_, at| *at > until);
        self.of_all = self.of_all.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Group, InvalidatedGroups, REMEMBERED, StoredHead, Timestamp};
    use crate::key::CacheKey;

    #[test]
    fn forgetting_marks_too_much_and_never_too_little() {
        let groups = InvalidatedGroups::default();
        let group =
            |number: usize| Group { origin: "https://a.example".to_owned(), name: number.to_string() };
        for number in 0..3 * REMEMBERED {
            groups.invalidate(&group(number), Timestamp::from_millis(number as i64));
        }
        let mut head = StoredHead::new(CacheKey::builder().build(), StatusCode::OK);
        for number in 0..3 * REMEMBERED {
            head.groups = vec![group(number)];
            head.response_time = Timestamp::from_millis(number as i64);
            assert!(groups.invalidated(&head), "{number}");
        }
        head.response_time = Timestamp::from_millis(3 * REMEMBERED as i64);
        assert!(!groups.invalidated(&head));
    }
}
