//! The contents of a row, decoded.

use std::sync::Arc;

use bytes::Bytes;

use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;

/// The contents of a row.
#[derive(Debug)]
pub(in crate::storage) enum Row<T> {
    /// What was stored.
    Found(T),
    /// Bytes that are damaged, or that belong to another place: a miss, to be removed.
    Garbage,
    /// What another version of the format wrote: a miss, and it stays. It counts as a variant.
    OtherVersion,
}

impl<T> Row<T> {
    pub(in crate::storage) fn of(decoded: Result<T, DecodeError>) -> Self {
        match decoded {
            Ok(found) => Self::Found(found),
            Err(DecodeError::Version(_)) => Self::OtherVersion,
            Err(DecodeError::Corrupt) => Self::Garbage,
        }
    }

    pub(in crate::storage) fn found(self) -> Option<T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Garbage | Self::OtherVersion => None,
        }
    }

    pub(in crate::storage) fn is_other_version(&self) -> bool {
        matches!(self, Self::OtherVersion)
    }

    fn filter(self, sound: impl FnOnce(&T) -> bool) -> Self {
        match self {
            Self::Found(found) if !sound(&found) => Self::Garbage,
            row => row,
        }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Row<U> {
        match self {
            Self::Found(found) => Row::Found(change(found)),
            Self::Garbage => Row::Garbage,
            Self::OtherVersion => Row::OtherVersion,
        }
    }
}

/// A published head. `key` is the key of the lookup, if any: a head under another key's digest is garbage.
pub(in crate::storage) fn head(bytes: &Bytes, key: Option<&CacheKey>) -> Row<StoredHead> {
    Row::of(codec::decode(bytes)).filter(|head| head.body.is_some() && is_of(head, key))
}

/// A response. `inline` is the body that is stored with the head; `None` for one in chunks.
pub(in crate::storage) fn response(
    bytes: &Bytes,
    inline: Option<Bytes>,
    key: Option<&CacheKey>,
) -> Row<StoredResponse> {
    let head = head(bytes, key)
        .filter(|head| inline.as_ref().is_none_or(|body| head.body == Some(BodySummary::of(body))));
    head.map(|head| StoredResponse {
        head: Arc::new(head),
        body: inline.map_or(StoredBody::Streamed, StoredBody::Inline),
        invalidated: false,
    })
}

/// An alias, with its response's body.
pub(in crate::storage) fn alias(bytes: &Bytes, key: Option<&CacheKey>) -> Row<Alias> {
    Row::of(codec::decode_alias(bytes)).filter(|alias| is_of(&alias.response.head, key))
}

fn is_of(head: &StoredHead, key: Option<&CacheKey>) -> bool {
    key.is_none_or(|key| head.key == *key)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]
mod tests {
    use http::StatusCode;

    use super::{
        Alias, Arc, BodySummary, Bytes, CacheKey, Row, StoredBody, StoredHead, StoredResponse, codec,
    };
    use super::{alias, head, response};

    fn key(uri: &str) -> CacheKey {
        CacheKey::builder().part(CacheKey::URI, uri).build()
    }

    fn published(body: &[u8]) -> StoredHead {
        let mut head = StoredHead::new(key("http://a/"), StatusCode::OK);
        head.body = Some(BodySummary::of(body));
        head
    }

    #[test]
    fn a_response_is_found_only_whole_and_under_its_key() {
        let bytes = Bytes::from(codec::encode(&published(b"body")));
        let (own, other) = (key("http://a/"), key("http://b/"));
        let inline = Some(Bytes::from_static(b"body"));
        assert!(matches!(response(&bytes, inline.clone(), Some(&own)), Row::Found(_)));
        assert!(matches!(
            response(&bytes, None, None),
            Row::Found(StoredResponse { body: StoredBody::Streamed, .. })
        ));
        assert!(matches!(response(&bytes, inline, Some(&other)), Row::Garbage));
        assert!(matches!(response(&bytes, Some(Bytes::from_static(b"bode")), None), Row::Garbage));
        assert!(matches!(head(&bytes.slice(1..), None), Row::Garbage));
        let unpublished = StoredHead { body: None, ..published(b"") };
        assert!(matches!(head(&codec::encode(&unpublished).into(), None), Row::Garbage));
    }

    #[test]
    fn what_another_version_wrote_is_told_from_garbage() {
        let mut bytes = codec::encode(&published(b""));
        bytes[3] += 1;
        assert!(head(&bytes.into(), None).is_other_version());
    }

    #[test]
    fn an_alias_is_found_under_its_key() {
        let moved = StoredResponse {
            head: Arc::new(published(b"moved")),
            body: StoredBody::Inline(Bytes::from_static(b"moved")),
            invalidated: false,
        };
        let encoded = codec::encode_alias(&Alias { response: moved, target: key("http://b/") });
        let bytes = Bytes::from(encoded.unwrap_or_default());
        assert!(alias(&bytes, Some(&key("http://a/"))).found().is_some());
        assert!(matches!(alias(&bytes, Some(&key("http://b/"))), Row::Garbage));
    }
}
