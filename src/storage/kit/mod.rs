//! What several backends are built from.

pub(super) mod backlog;
