//! A head, field by field.

use http::{Method, StatusCode, Version};

use super::bytes_io::{Input, Output};
use super::fields::{read_fields, read_selecting, write_fields, write_selecting};
use super::freshness::{read_freshness, write_freshness};
use super::preamble::{HEAD_MAGIC, with_preamble};
use crate::clock::Timestamp;
use crate::entry::error::DecodeError;
use crate::entry::{BodySummary, EntryId, Group, StoredHead, StoredRange};
use crate::key::CacheKey;

/// The most groups of one head that is decoded.
pub(super) const MAX_GROUPS: usize = 16_384;

pub(super) fn write_head(out: &mut Output, head: &StoredHead, body: Option<BodySummary>) {
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

pub(super) fn read_head(input: &mut Input<'_>) -> Result<StoredHead, DecodeError> {
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

fn read_groups(input: &mut Input<'_>) -> Result<Vec<Group>, DecodeError> {
    const SMALLEST_GROUP: usize = 2;
    let count = input.count(MAX_GROUPS, SMALLEST_GROUP)?;
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        groups.push(Group { origin: input.text()?.to_owned(), name: input.text()?.to_owned() });
    }
    Ok(groups)
}

pub(super) fn read_key(input: &mut Input<'_>) -> Result<CacheKey, DecodeError> {
    CacheKey::from_canonical(input.shared()?).ok_or(DecodeError::Corrupt)
}

fn read_time(input: &mut Input<'_>) -> Result<Timestamp, DecodeError> {
    input.fixed_i64().map(Timestamp::from_millis)
}
