//! What a request with an unsafe method spoils (RFC 9111 section 4.4).

use http::{Uri, response};

use crate::policy::Asked;

/// The URIs whose stored responses are invalidated by this exchange.
#[must_use]
pub fn invalidated(asked: &Asked<'_>, response: &response::Parts) -> Vec<Uri> {
    let _ = (asked, response);
    todo!()
}
