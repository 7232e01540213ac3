//! A change of what a fan-out directory holds, which keeps its counters right.

use crate::storage::{Keyspace, StorageError};

use super::count::recount;
use super::error::Doing;
use super::lock::Locked;
use super::state::Counters;

/// A change of what a fan-out directory holds.
#[derive(Debug)]
#[must_use = "a change that is not committed makes the next writer count again"]
pub(super) struct Change<'a> {
    locked: &'a Locked<'a>,
    counters: Counters,
}

impl<'a> Change<'a> {
    /// Announces a change. Unless it is [committed](Self::commit), the next who holds the lock counts again.
    pub(super) fn begin(locked: &'a Locked<'a>) -> Result<Self, StorageError> {
        let mut counters = locked.root.state.counters(locked.fan).doing("reading the counters")?;
        if counters.dirty {
            counters = recount(locked)?.counters;
        }
        let dirty = Counters { dirty: true, ..counters };
        locked.root.state.set_counters(locked.fan, dirty).doing("writing the counters")?;
        Ok(Self { locked, counters: Counters { dirty: false, ..counters } })
    }

    pub(super) fn locked(&self) -> &'a Locked<'a> {
        self.locked
    }

    pub(super) fn add(&mut self, keyspace: Keyspace, entries: u64, bytes: u64) {
        let count = self.counters.entries(keyspace);
        *count = count.saturating_add(entries);
        self.counters.bytes = self.counters.bytes.saturating_add(bytes);
    }

    pub(super) fn take_away(&mut self, keyspace: Keyspace, entries: u64, bytes: u64) {
        let count = self.counters.entries(keyspace);
        *count = count.saturating_sub(entries);
        self.counters.bytes = self.counters.bytes.saturating_sub(bytes);
    }

    pub(super) fn commit(self) -> Result<(), StorageError> {
        self.locked.root.state.set_counters(self.locked.fan, self.counters).doing("writing the counters")
    }
}
