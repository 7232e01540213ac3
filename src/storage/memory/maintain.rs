//! Maintenance: what can never be used again goes.

use super::shared::Shared;
use crate::clock::Timestamp;
use crate::storage::Maintained;

impl Shared {
    pub(super) fn maintain(&self, now: Timestamp) -> Maintained {
        let mut expired = 0;
        for key in self.map.keys(|slot| slot.heads().any(|head| head.usable_until <= now)) {
            expired += self.retain(&key, |head| head.usable_until > now);
        }
        Maintained::new(expired, 0)
    }
}
