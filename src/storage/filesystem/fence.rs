//! What a removal leaves: numbers, which refuse the fills that began before it.

use crate::storage::{Fence, StorageError};

use super::error::Doing;
use super::layout::Name;
use super::root::Root;

/// Whether the key was removed since the lookup that handed out this fence. Needs the lock.
pub(super) fn is_fenced_off(root: &Root, name: &Name, fence: Fence) -> Result<bool, StorageError> {
    let now = root.state.fence(name).doing("reading a fence")?;
    if now == Fence(0) {
        // The number was lost: a zero is no fence.
        root.state.raise(name).doing("writing a fence")?;
        return Ok(true);
    }
    Ok(now != fence)
}
