//! What several backends are built from.

#[cfg(any(all(feature = "filesystem", unix), feature = "sqlite"))]
pub(super) mod backlog;
mod head;

pub(super) use head::check_head;
