//! The binary form of a stored head: bounded, code-free, versioned.
//!
//! ```text
//! "ldh" version checksum(8) fields...        a head: `encode`
//! length(4) head body                        a head and its small body: `encode_with_body`
//! "lda" version checksum(8) target value     an alias: `encode_alias`
//! ```
//!
//! Numbers are little-endian or seven bits a byte. Checksums are XXH3 over everything behind them, so that no
//! flipped bit goes unnoticed; they are no defence against someone who writes into the storage on purpose,
//! which is why every length is checked before it is used. Names of common fields are one byte; header values
//! are slices of the decoded bytes. There is no reading of older versions: an entry of another version is a miss.
//!
//! What is added to [`StoredHead`] or [`Freshness`](super::Freshness) must be added here, in both
//! directions; the compiler asks for it. Raise [`VERSION`] then.
//!
//! ```
//! use http::StatusCode;
//! use larder::entry::{StoredHead, codec};
//! use larder::key::CacheKey;
//!
//! let key = CacheKey::builder().part(CacheKey::URI, "https://example.com/").build();
//! let head = StoredHead::new(key, StatusCode::OK);
//! let value = codec::encode_with_body(&head, b"hello").into();
//! let (head, body) = codec::decode_with_body(&value)?;
//! assert_eq!(head.body_len(), 5);
//! assert_eq!(body, "hello");
//! # Ok::<(), codec::DecodeError>(())
//! ```

mod bytes_io;
mod fields;
mod freshness;
mod head;
mod names;
mod preamble;
mod size;

use std::sync::Arc;

use bytes::Bytes;

use self::bytes_io::{Input, Output};
pub use self::fields::MAX_FIELDS;
use self::head::{read_head, read_key, write_head};
pub use self::preamble::VERSION;
use self::preamble::{ALIAS_MAGIC, HEAD_MAGIC, read_preamble, with_preamble};
pub(super) use self::size::encoded_len;
pub use self::size::{MAX_HEAD_LEN, is_decodable};
pub use super::error::DecodeError;
use super::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};

/// Encodes a head.
#[must_use]
pub fn encode(head: &StoredHead) -> Vec<u8> {
    let mut out = Output::with_capacity(encoded_len(head));
    write_head(&mut out, head, head.body);
    out.finish()
}

/// Decodes a head; header values are slices of `bytes`.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not a head of this version.
pub fn decode(bytes: &Bytes) -> Result<StoredHead, DecodeError> {
    if bytes.len() > MAX_HEAD_LEN {
        return Err(DecodeError::Corrupt);
    }
    let mut input = Input::new(bytes);
    read_preamble(&mut input, HEAD_MAGIC)?;
    let head = read_head(&mut input)?;
    input.end()?;
    Ok(head)
}

/// Encodes a head and its whole body as one value.
///
/// The body's [summary](StoredHead::body) is written as that of `body`, whatever the head says.
#[must_use]
pub fn encode_with_body(head: &StoredHead, body: &[u8]) -> Vec<u8> {
    let mut out = Output::with_capacity(4 + encoded_len(head) + body.len());
    write_with_body(&mut out, head, body);
    out.finish()
}

/// Decodes what [`encode_with_body`] wrote, and verifies the body. Header values and body are slices of `bytes`.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not such a value of this version, or the body is not the one the head tells of.
pub fn decode_with_body(bytes: &Bytes) -> Result<(StoredHead, Bytes), DecodeError> {
    let (head, body) = split_body(bytes)?;
    let head = decode(&head)?;
    if head.body == Some(BodySummary::of(&body)) { Ok((head, body)) } else { Err(DecodeError::Corrupt) }
}

/// Splits what [`encode_with_body`] wrote into the encoded head and the body, without verifying either:
/// for a listing that needs no bodies, and for replacing the head alone.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] when the value is too short.
pub fn split_body(bytes: &Bytes) -> Result<(Bytes, Bytes), DecodeError> {
    let mut input = Input::new(bytes);
    let head_len = u32::from_le_bytes(input.array()?);
    let head = input.raw(usize::try_from(head_len).map_err(|_| DecodeError::Corrupt)?)?;
    Ok((bytes.slice_ref(head), bytes.slice_ref(input.rest())))
}

/// Encodes an alias with its target and the redirect response, whose small body must be at hand.
///
/// Returns `None` for an alias whose body is [streamed](StoredBody::Streamed).
#[must_use]
pub fn encode_alias(alias: &Alias) -> Option<Vec<u8>> {
    let body = match &alias.response.body {
        StoredBody::Inline(body) => body.clone(),
        StoredBody::Shared(pieces) => pieces.concat().into(),
        StoredBody::Streamed => return None,
    };
    let target = alias.target.canonical();
    let head = &alias.response.head;
    let mut out = Output::with_capacity(32 + target.len() + encoded_len(head) + body.len());
    with_preamble(&mut out, ALIAS_MAGIC, |out| {
        out.bytes(target);
        write_with_body(out, head, &body);
    });
    Some(out.finish())
}

/// Decodes an alias and verifies the redirect response's body.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not an alias of this version.
pub fn decode_alias(bytes: &Bytes) -> Result<Alias, DecodeError> {
    let mut input = Input::new(bytes);
    read_preamble(&mut input, ALIAS_MAGIC)?;
    let target = read_key(&mut input)?;
    let (head, body) = decode_with_body(&bytes.slice_ref(input.rest()))?;
    let body = StoredBody::Inline(body);
    Ok(Alias { response: StoredResponse { head: Arc::new(head), body, invalidated: false }, target })
}

fn write_with_body(out: &mut Output, head: &StoredHead, body: &[u8]) {
    let start = out.len_written();
    out.raw(&[0; 4]);
    write_head(out, head, Some(BodySummary::of(body)));
    // A head of 4 GiB is far beyond MAX_HEAD_LEN: what is written for it decodes as corrupt.
    let head_len = u32::try_from(out.len_written() - start - 4).unwrap_or(u32::MAX);
    out.patch(start, &head_len.to_le_bytes());
    out.raw(body);
}
