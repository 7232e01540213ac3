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
//! What is added to [`StoredHead`] or [`Freshness`] must be added here, in both directions; the compiler asks
//! for it. Raise [`VERSION`] then.
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

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use xxhash_rust::xxh3::xxh3_64;

use super::bytes_io::{Input, Output};
use super::names;
use crate::clock::Timestamp;
use crate::entry::{
    Alias, BodySummary, EntryId, Freshness, Group, StoredBody, StoredHead, StoredRange, StoredResponse,
};
use crate::key::{CacheKey, Selecting, SelectingField, SelectingValue};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u8 = 2;

/// The longest encoded head that is decoded. Larger heads can be encoded, but come back as corrupt: do not store them.
/// The cache never asks for that ([`StoredHead::is_within_limits`]).
pub const MAX_HEAD_LEN: usize = 4 << 20;

/// The most header fields, or trailer fields, of one head that is decoded.
pub const MAX_FIELDS: usize = 16_384;

const MAX_GROUPS: usize = 16_384;
const HEAD_MAGIC: [u8; 3] = *b"ldh";
const ALIAS_MAGIC: [u8; 3] = *b"lda";
const PREAMBLE_LEN: usize = 12;
const CHECKSUM_AT: usize = 4;

/// Why bytes from a storage are not a stored head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early, carry impossible lengths or fail their checksum.
    Corrupt,
    /// Written by another version of the format.
    Version(u8),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt => f.write_str("these bytes are not what was stored"),
            Self::Version(found) => {
                write!(f, "stored in version {found} of the format, where {VERSION} is understood")
            }
        }
    }
}

impl Error for DecodeError {}

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

/// Whether what [`encode`] makes of this head is decoded again: it is within [`MAX_FIELDS`] and [`MAX_HEAD_LEN`], and has
/// not too many groups.
#[must_use]
pub fn is_decodable(head: &StoredHead) -> bool {
    let few = |fields: &HeaderMap| fields.len() <= MAX_FIELDS;
    few(&head.headers)
        && head.trailers.as_ref().is_none_or(few)
        && head.selecting.fields.len() <= MAX_FIELDS
        && head.groups.len() <= MAX_GROUPS
        && encoded_len(head) <= MAX_HEAD_LEN
}

/// Room for the encoded head: never less than it takes, so that writing does not grow it.
pub(super) fn encoded_len(head: &StoredHead) -> usize {
    const NUMBERS: usize = 10;
    let fields = |fields: &HeaderMap| {
        let lens = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 2 * NUMBERS);
        lens.sum::<usize>()
    };
    let selecting = head.selecting.fields.iter().map(|field| {
        let value = match &field.value {
            SelectingValue::Absent => 0,
            SelectingValue::Plain(value) => value.len(),
            SelectingValue::Hashed(hash) => hash.len(),
        };
        field.name.as_str().len() + value + 2 * NUMBERS
    });
    let groups = head.groups.iter().map(|group| group.origin.len() + group.name.len() + 2 * NUMBERS);
    256 + head.key.canonical().len()
        + head.uri.len()
        + head.method.as_str().len()
        + fields(&head.headers)
        + head.trailers.as_ref().map_or(0, fields)
        + selecting.sum::<usize>()
        + groups.sum::<usize>()
}

fn with_preamble(out: &mut Output, magic: [u8; 3], write: impl FnOnce(&mut Output)) {
    let start = out.len_written();
    out.raw(&magic);
    out.byte(VERSION);
    out.fixed_u64(0);
    write(out);
    let checksum = xxh3_64(out.written_from(start + PREAMBLE_LEN));
    out.patch(start + CHECKSUM_AT, &checksum.to_le_bytes());
}

fn read_preamble(input: &mut Input<'_>, magic: [u8; 3]) -> Result<(), DecodeError> {
    if input.array()? != magic {
        return Err(DecodeError::Corrupt);
    }
    let version = input.byte()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let checksum = input.fixed_u64()?;
    if xxh3_64(input.rest()) == checksum { Ok(()) } else { Err(DecodeError::Corrupt) }
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

fn write_head(out: &mut Output, head: &StoredHead, body: Option<BodySummary>) {
    let StoredHead {
        id,
        key,
        method,
        authorized,
        uri,
        status,
        version,
        headers,
        trailers,
        request_time,
        response_time,
        usable_until,
        selecting,
        freshness,
        body: _,
        range,
        groups,
        as_of,
    } = head;
    with_preamble(out, HEAD_MAGIC, |out| {
        let own_uri = key.uri() != Some(uri.as_str());
        out.flags(&[own_uri, trailers.is_some(), body.is_some(), range.is_some(), *authorized]);
        out.raw(&id.bits().to_le_bytes());
        out.bytes(key.canonical());
        if own_uri {
            out.bytes(uri.as_bytes());
        }
        out.bytes(method.as_str().as_bytes());
        out.raw(&status.as_u16().to_le_bytes());
        out.byte(version_code(*version));
        for time in [request_time, response_time, usable_until] {
            out.fixed_i64(time.as_millis());
        }
        write_fields(out, headers);
        if let Some(trailers) = trailers {
            write_fields(out, trailers);
        }
        write_selecting(out, selecting);
        write_freshness(out, freshness);
        if let Some(BodySummary { len, checksum }) = body {
            out.number(len);
            out.fixed_u64(checksum);
        }
        if let Some(StoredRange { first, complete_len }) = *range {
            out.number(first);
            out.optional_number(complete_len);
        }
        out.len(groups.len());
        for Group { origin, name } in groups {
            out.bytes(origin.as_bytes());
            out.bytes(name.as_bytes());
        }
        out.number(*as_of);
    });
}

fn read_head(input: &mut Input<'_>) -> Result<StoredHead, DecodeError> {
    let [own_uri, has_trailers, has_body, has_range, authorized] = input.flags()?;
    let id = EntryId::from_bits(u128::from_le_bytes(input.array()?));
    let key = read_key(input)?;
    let uri = if own_uri { input.text()? } else { key.uri().ok_or(DecodeError::Corrupt)? }.to_owned();
    Ok(StoredHead {
        id,
        key,
        uri,
        authorized,
        method: Method::from_bytes(input.bytes()?).map_err(|_| DecodeError::Corrupt)?,
        status: StatusCode::from_u16(u16::from_le_bytes(input.array()?)).map_err(|_| DecodeError::Corrupt)?,
        version: version_of(input.byte()?)?,
        request_time: read_time(input)?,
        response_time: read_time(input)?,
        usable_until: read_time(input)?,
        headers: read_fields(input)?,
        trailers: if has_trailers { Some(read_fields(input)?) } else { None },
        selecting: read_selecting(input)?,
        freshness: read_freshness(input)?,
        body: if has_body {
            Some(BodySummary { len: input.number()?, checksum: input.fixed_u64()? })
        } else {
            None
        },
        range: if has_range {
            Some(StoredRange { first: input.number()?, complete_len: input.optional_number()? })
        } else {
            None
        },
        groups: read_groups(input)?,
        as_of: input.number()?,
    })
}

fn read_key(input: &mut Input<'_>) -> Result<CacheKey, DecodeError> {
    CacheKey::from_canonical(input.shared()?).ok_or(DecodeError::Corrupt)
}

fn read_time(input: &mut Input<'_>) -> Result<Timestamp, DecodeError> {
    input.fixed_i64().map(Timestamp::from_millis)
}

/// The type is open for versions to come; what is none of these is written as HTTP/1.1.
fn version_code(version: Version) -> u8 {
    match version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        Version::HTTP_3 => 30,
        _ => 11,
    }
}

fn version_of(code: u8) -> Result<Version, DecodeError> {
    match code {
        9 => Ok(Version::HTTP_09),
        10 => Ok(Version::HTTP_10),
        11 => Ok(Version::HTTP_11),
        20 => Ok(Version::HTTP_2),
        30 => Ok(Version::HTTP_3),
        _ => Err(DecodeError::Corrupt),
    }
}

fn write_fields(out: &mut Output, fields: &HeaderMap) {
    out.len(fields.len());
    for (name, value) in fields {
        write_name(out, name);
        // The lowest bit of the length says whether the value is sensitive, so that it stays hidden in logs.
        out.number((value.len() as u64) << 1 | u64::from(value.is_sensitive()));
        out.raw(value.as_bytes());
    }
}

fn read_fields(input: &mut Input<'_>) -> Result<HeaderMap, DecodeError> {
    const SMALLEST_FIELD: usize = 2;
    let count = input.count(MAX_FIELDS, SMALLEST_FIELD)?;
    let mut fields = HeaderMap::try_with_capacity(count).map_err(|_| DecodeError::Corrupt)?;
    for _ in 0..count {
        let name = read_name(input)?;
        let len = input.len()?;
        let mut value =
            HeaderValue::from_maybe_shared(input.shared_raw(len >> 1)?).map_err(|_| DecodeError::Corrupt)?;
        value.set_sensitive(len & 1 == 1);
        fields.try_append(name, value).map_err(|_| DecodeError::Corrupt)?;
    }
    Ok(fields)
}

fn write_name(out: &mut Output, name: &HeaderName) {
    match names::code_of(name) {
        Some(code) => out.byte(code),
        None => {
            out.byte(names::SPELLED);
            out.bytes(name.as_str().as_bytes());
        }
    }
}

fn read_name(input: &mut Input<'_>) -> Result<HeaderName, DecodeError> {
    match input.byte()? {
        names::SPELLED => HeaderName::from_bytes(input.bytes()?).map_err(|_| DecodeError::Corrupt),
        code => names::name_of(code).cloned().ok_or(DecodeError::Corrupt),
    }
}

const ABSENT: u8 = 0;
const PLAIN: u8 = 1;
const HASHED: u8 = 2;

fn write_selecting(out: &mut Output, selecting: &Selecting) {
    let Selecting { any, fields } = selecting;
    out.byte(u8::from(*any));
    out.len(fields.len());
    for SelectingField { name, value } in fields {
        write_name(out, name);
        match value {
            SelectingValue::Absent => out.byte(ABSENT),
            SelectingValue::Plain(value) => {
                out.byte(PLAIN);
                out.bytes(value);
            }
            SelectingValue::Hashed(hash) => {
                out.byte(HASHED);
                out.raw(hash);
            }
        }
    }
}

fn read_selecting(input: &mut Input<'_>) -> Result<Selecting, DecodeError> {
    const SMALLEST_FIELD: usize = 2;
    let any = match input.byte()? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::Corrupt),
    };
    let count = input.count(MAX_FIELDS, SMALLEST_FIELD)?;
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let name = read_name(input)?;
        let value = match input.byte()? {
            ABSENT => SelectingValue::Absent,
            PLAIN => SelectingValue::Plain(input.shared()?),
            HASHED => SelectingValue::Hashed(input.array()?),
            _ => return Err(DecodeError::Corrupt),
        };
        fields.push(SelectingField { name, value });
    }
    Ok(Selecting { any, fields })
}

fn write_freshness(out: &mut Output, freshness: &Freshness) {
    let Freshness {
        settings,
        lifetime,
        initial_age,
        no_cache,
        must_revalidate,
        immutable,
        stale_while_revalidate,
        stale_if_error,
        explicit,
        overridden,
        outdated,
        date,
    } = *freshness;
    out.flags(&[no_cache, must_revalidate, immutable, explicit, overridden, outdated]);
    out.fixed_u64(settings);
    out.number(initial_age);
    for seconds in [lifetime, stale_while_revalidate, stale_if_error] {
        out.number(seconds.into());
    }
    out.fixed_i64(date.as_millis());
}

fn read_freshness(input: &mut Input<'_>) -> Result<Freshness, DecodeError> {
    let [no_cache, must_revalidate, immutable, explicit, overridden, outdated] = input.flags()?;
    Ok(Freshness {
        no_cache,
        must_revalidate,
        immutable,
        explicit,
        overridden,
        outdated,
        settings: input.fixed_u64()?,
        initial_age: input.number()?,
        lifetime: input.number_u32()?,
        stale_while_revalidate: input.number_u32()?,
        stale_if_error: input.number_u32()?,
        date: read_time(input)?,
    })
}

fn read_groups(input: &mut Input<'_>) -> Result<Vec<Group>, DecodeError> {
    const SMALLEST_GROUP: usize = 2;
    let count = input.count(MAX_GROUPS, SMALLEST_GROUP)?;
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        groups.push(Group { origin: input.text()?.to_owned(), name: input.text()?.to_owned() });
    }
    Ok(groups)
}
