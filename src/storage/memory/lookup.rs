//! What stands under a key, with what invalidated it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::entry::{Alias, StoredResponse};
use crate::key::CacheKey;
use crate::storage::{Fence, Lookup};

impl Shared {
    pub(super) fn lookup(&self, key: &CacheKey) -> Lookup {
        // Before the map is read, so that a removal in between refuses the fill.
        let fence = Fence(self.removals.load(Ordering::Acquire));
        let as_of = self.invalidations.count();
        let Some(slot) = self.map.get(key.hash128(), key) else {
            return Lookup { fence, as_of, ..Lookup::default() };
        };
        let responses = slot.responses.iter().map(|kept| self.marked(&kept.response)).collect();
        let alias = slot.alias.as_ref().map(|alias| self.marked_alias(alias));
        Lookup { responses, alias, fence, as_of }
    }

    fn marked(&self, response: &StoredResponse) -> StoredResponse {
        let mut response = response.clone();
        response.invalidated = self.invalidations.cover(&response.head);
        response
    }

    fn marked_alias(&self, alias: &Arc<Alias>) -> Arc<Alias> {
        let marked = self.invalidations.cover(&alias.response.head);
        if marked == alias.response.invalidated {
            return Arc::clone(alias);
        }
        let response = StoredResponse { invalidated: marked, ..alias.response.clone() };
        Arc::new(Alias { response, target: alias.target.clone() })
    }
}
