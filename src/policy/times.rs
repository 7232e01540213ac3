//! The two times of an exchange.

use crate::clock::Timestamp;

/// When a request was sent and its response arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The request was sent.
    pub request: Timestamp,
    /// The response's head arrived.
    pub response: Timestamp,
}
