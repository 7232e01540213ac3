//! `Debug` of what is stored, without what a log must not tell: queries, bodies, values of most fields.

use std::fmt;

use bytes::Bytes;

use super::{BodyEnd, StoredBody, StoredHead};
use crate::key::{ShownFields, ShownUri};

impl fmt::Debug for StoredHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredHead")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("method", &self.method)
            .field("authorized", &self.authorized)
            .field("uri", &ShownUri(&self.uri))
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &ShownFields(&self.headers))
            .field("trailers", &self.trailers.as_ref().map(ShownFields))
            .field("request_time", &self.request_time)
            .field("response_time", &self.response_time)
            .field("usable_until", &self.usable_until)
            .field("selecting", &self.selecting)
            .field("freshness", &self.freshness)
            .field("body", &self.body)
            .field("range", &self.range)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BodyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyEnd")
            .field("trailers", &self.trailers.as_ref().map(ShownFields))
            .field("range", &self.range)
            .finish()
    }
}

impl fmt::Debug for StoredBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(body) => write!(f, "Inline({} bytes)", body.len()),
            Self::Shared(pieces) => {
                write!(f, "Shared({} bytes)", pieces.iter().map(Bytes::len).sum::<usize>())
            }
            Self::Streamed => f.write_str("Streamed"),
        }
    }
}
