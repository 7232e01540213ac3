//! The JSON record, made for people: the response's own fields come first, as they were sent.
//!
//! Every response has a checksum of its values, so that any damaged byte is found. Spaces and line breaks may change. Each
//! response names the version that wrote it. Responses of other versions stay in the record. To edit a file by hand, remove
//! the `checksum` line of the response.

mod body;
mod head;
mod time;

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::layout::Name;
use super::record::{Garbage, Record};

pub(super) use body::extension_for;

/// The layout of the file around the responses.
const VERSION: u32 = 1;
/// The layout of a response. The first one did not say which it was; in the second one `overridden` was `wished`.
const FORMAT: u32 = 3;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<T> {
    larder: u32,
    responses: Vec<T>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Item {
    Ours(Box<head::Response>),
    Foreign(Box<RawValue>),
}

/// Just enough to tell another version's file from a broken one.
#[derive(Debug, Deserialize)]
struct AnyVersion {
    larder: u32,
}

/// Just enough to tell another version's response from a broken one.
#[derive(Debug, Deserialize)]
struct AnyFormat {
    #[serde(default = "first")]
    format: u32,
}

fn first() -> u32 {
    1
}

pub(super) fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let ours = record.variants.iter().map(|variant| Ok(Item::Ours(Box::new(head::Response::new(variant)?))));
    let foreign = record.foreign.iter().map(|foreign| {
        let text = String::from_utf8(foreign.to_vec()).map_err(io::Error::other)?;
        Ok(Item::Foreign(RawValue::from_string(text)?))
    });
    let responses = ours.chain(foreign).collect::<io::Result<_>>()?;
    let mut text = serde_json::to_vec_pretty(&Document { larder: VERSION, responses })?;
    text.push(b'\n');
    Ok(text)
}

pub(super) fn decode(bytes: &Bytes, name: &Name) -> Result<Record, Garbage> {
    let document: Document<&RawValue> = serde_json::from_slice(bytes).map_err(|_| other_version(bytes))?;
    if document.larder != VERSION {
        return Err(Garbage::OtherVersion);
    }
    let mut record = Record::default();
    for response in document.responses {
        let AnyFormat { format } = serde_json::from_str(response.get()).map_err(|_| Garbage::Broken)?;
        if format == FORMAT {
            let response: head::Response =
                serde_json::from_str(response.get()).map_err(|_| Garbage::Broken)?;
            record.variants.push(response.into_variant(name).ok_or(Garbage::Broken)?);
        } else {
            record.foreign.push(bytes.slice_ref(response.get().as_bytes()));
        }
    }
    Ok(record)
}

fn other_version(bytes: &Bytes) -> Garbage {
    match serde_json::from_slice::<AnyVersion>(bytes) {
        Ok(found) if found.larder != VERSION => Garbage::OtherVersion,
        _ => Garbage::Broken,
    }
}
