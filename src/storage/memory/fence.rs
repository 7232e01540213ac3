//! Which removals a fill must not undo.

use std::collections::VecDeque;

use crate::storage::{Fence, Keyspace};

/// Removals remembered by key; older ones are remembered as if everything had been removed then.
const REMEMBERED: usize = 64;

/// The recent removals among some of the keys. Numbers grow.
#[derive(Default)]
pub(super) struct Fences {
    /// Hash of the key and number of the removal, oldest first. Keys that share a hash are fenced together.
    recent: VecDeque<(u128, u64)>,
    /// Every fill from before these numbers is refused.
    responses: u64,
    aliases: u64,
}

impl Fences {
    pub(super) fn removed(&mut self, hash: u128, number: u64) {
        if self.recent.len() == REMEMBERED
            && let Some((_, oldest)) = self.recent.pop_front()
        {
            self.cleared(None, oldest);
        }
        self.recent.push_back((hash, number));
    }

    pub(super) fn cleared(&mut self, keyspace: Option<Keyspace>, number: u64) {
        if keyspace != Some(Keyspace::Aliases) {
            self.responses = self.responses.max(number);
        }
        if keyspace != Some(Keyspace::Responses) {
            self.aliases = self.aliases.max(number);
        }
    }

    pub(super) fn refuse(&self, hash: u128, keyspace: Keyspace, Fence(fence): Fence) -> bool {
        let floor = match keyspace {
            Keyspace::Responses => self.responses,
            Keyspace::Aliases => self.aliases,
        };
        floor > fence || self.recent.iter().any(|(removed, number)| *removed == hash && *number > fence)
    }
}
