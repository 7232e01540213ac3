//! Removal of a key, of one response, and of everything.

use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::entry::StoredHead;
use crate::key::CacheKey;
use crate::storage::Keyspace;

impl Shared {
    pub(super) fn remove(&self, key: &CacheKey) -> bool {
        let hash = key.hash128();
        let mut fences = self.stripe(hash);
        let removed = self.map.remove(hash, key);
        // After the map, so that no lookup gets the new number with the old response.
        let number = self.removals.fetch_add(1, Ordering::AcqRel) + 1;
        fences.removed(hash, number);
        removed
    }

    /// Keeps under a key only what `keep` says; returns how much went.
    pub(super) fn retain(&self, key: &CacheKey, keep: impl Fn(&StoredHead) -> bool) -> u64 {
        let hash = key.hash128();
        let _writing = self.stripe(hash);
        let Some(slot) = self.map.peek(hash, key) else { return 0 };
        let before = slot.heads().count();
        let left = slot.heads().filter(|head| keep(head)).count();
        if left < before {
            let mut slot = (*slot).clone();
            slot.responses.retain(|kept| keep(&kept.response.head));
            slot.alias = slot.alias.take().filter(|alias| keep(&alias.response.head));
            self.place(hash, key, slot);
        }
        (before - left) as u64
    }

    pub(super) fn clear(&self, keyspace: Option<Keyspace>) {
        // Every writer waits until all is gone and the number is drawn.
        let mut stripes = self.all_stripes();
        match keyspace {
            None => self.map.clear(),
            Some(keyspace) => {
                for key in self.map.keys(|slot| slot.holds(keyspace)) {
                    let hash = key.hash128();
                    let Some(slot) = self.map.peek(hash, &key) else { continue };
                    let mut slot = (*slot).clone();
                    match keyspace {
                        Keyspace::Responses => slot.responses.clear(),
                        Keyspace::Aliases => slot.alias = None,
                    }
                    self.place(hash, &key, slot);
                }
            }
        }
        let number = self.removals.fetch_add(1, Ordering::AcqRel) + 1;
        for fences in &mut stripes {
            fences.cleared(keyspace, number);
        }
    }
}
