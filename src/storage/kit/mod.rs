//! What several backends are built from.

pub(super) mod backlog;
mod head;

pub(super) use head::check_head;
