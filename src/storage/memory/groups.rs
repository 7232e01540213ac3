//! Invalidated groups: a number for every few of them, in a table of fixed size.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::entry::{GroupId, StoredHead};

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
const SLOTS: u32 = 1 << 14;

pub(super) struct Invalidations {
    /// How many there were.
    count: AtomicU64,
    /// The number of the latest one in each slot.
    latest: Box<[AtomicU64]>,
}

impl Invalidations {
    pub(super) fn new() -> Self {
        Self { count: AtomicU64::new(0), latest: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, groups: &[GroupId]) {
        // The count first: who reads it asks the origin after this moment, and what he stores is of after it.
        let number = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        for group in groups {
            if let Some(latest) = self.slot(*group) {
                latest.fetch_max(number, Ordering::AcqRel);
            }
        }
    }

    pub(super) fn cover(&self, head: &StoredHead) -> bool {
        // The usual case costs no hash: nothing was invalidated since.
        self.count() > head.as_of
            && head.group_ids().any(|group| {
                self.slot(group).is_some_and(|latest| latest.load(Ordering::Acquire) > head.as_of)
            })
    }

    fn slot(&self, group: GroupId) -> Option<&AtomicU64> {
        self.latest.get(group.slot(SLOTS) as usize)
    }
}
