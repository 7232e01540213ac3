//! Telling variants apart: the selecting header fields (RFC 9111 section 4.1).

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;

use crate::entry::EntryId;

/// The fields that `Vary` nominated, with the values they had in the request that was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selecting {
    /// `Vary: *`, or a `Vary` that cannot be understood: matches no request.
    pub any: bool,
    /// The nominated fields, sorted by name, each once.
    pub fields: Vec<SelectingField>,
}

/// One selecting header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectingField {
    /// The field's name.
    pub name: HeaderName,
    /// Its value in the request that was answered.
    pub value: SelectingValue,
}

/// The value of a selecting header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectingValue {
    /// The request had no such field.
    Absent,
    /// The combined and normalised value.
    Plain(Bytes),
    /// Keyed hash of the value of a field that carries a secret (Authorization, Cookie, ...).
    Hashed([u8; 32]),
}

impl Selecting {
    /// What the `Vary` fields of `response` nominate, with their values in `request`.
    ///
    /// Secret values are hashed with a key derived from `secret` and `id`.
    #[must_use]
    pub fn new(response: &HeaderMap, request: &HeaderMap, id: EntryId, secret: &[u8]) -> Self {
        let _ = (response, request, id, secret);
        todo!()
    }

    /// Whether a request with these fields selects the response.
    #[must_use]
    pub fn matches(&self, request: &HeaderMap, id: EntryId, secret: &[u8]) -> bool {
        let _ = (request, id, secret);
        todo!()
    }
}
