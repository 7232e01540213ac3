//! Groups of responses: invalidating them (RFC 9111 section 4.4, RFC 9875).

use crate::entry::GroupId;
use crate::storage::StorageError;

use super::root::Root;
use super::shared::Shared;

/// The lane of all changes of the file of invalidations.
pub(super) const LANE: u8 = 0;

/// Counts an invalidation, and gives its number to the groups.
pub(super) fn invalidate(shared: &Shared, root: &Root, groups: &[GroupId]) -> Result<(), StorageError> {
    shared.locks.with_invalidated(root, || root.invalidated.add(groups, shared.options.sync))
}

/// Makes the count of invalidations right again, where it was damaged.
pub(super) fn repair(shared: &Shared, root: &Root) -> Result<(), StorageError> {
    shared.locks.with_invalidated(root, || root.invalidated.repair().map(drop))
}
