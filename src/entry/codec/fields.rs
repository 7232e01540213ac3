//! Header fields, trailer fields and selecting fields.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::bytes_io::{Input, Output};
use super::names;
use crate::entry::error::DecodeError;
use crate::key::{Selecting, SelectingField, SelectingValue};

/// The most header fields, or trailer fields, of one head that is decoded.
pub const MAX_FIELDS: usize = 16_384;

pub(super) fn write_fields(out: &mut Output, fields: &HeaderMap) {
    out.len(fields.len());
    for (name, value) in fields {
        write_name(out, name);
        // The lowest bit of the length says whether the value is sensitive, so that it stays hidden in logs.
        out.number((value.len() as u64) << 1 | u64::from(value.is_sensitive()));
        out.raw(value.as_bytes());
    }
}

pub(super) fn read_fields(input: &mut Input<'_>) -> Result<HeaderMap, DecodeError> {
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

pub(super) fn write_selecting(out: &mut Output, selecting: &Selecting) {
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

pub(super) fn read_selecting(input: &mut Input<'_>) -> Result<Selecting, DecodeError> {
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
