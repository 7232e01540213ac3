//! Parts of one representation (RFC 9111 sections 3.3 and 3.4).

pub(super) mod combine;
pub(super) mod completed;
pub(super) mod held;
pub(super) mod missing;
pub(super) mod same;
pub(super) mod spans;
