//! The JSON record, made for people: what a response says comes first and reads as it was sent.
//!
//! Every response carries a checksum of its values, so that damage is found whatever byte it hit; spaces and line
//! breaks may change. Who wants to edit a file by hand takes the `checksum` line of the response out.

mod body;
mod head;
mod time;

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::layout::Name;
use super::record::{Garbage, Record};

pub(super) use body::extension_for;

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    larder: u32,
    responses: Vec<head::Response>,
}

/// Just enough to tell another version's file from a broken one.
#[derive(Debug, Deserialize)]
struct AnyVersion {
    larder: u32,
}

pub(super) fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let responses = record.variants.iter().map(head::Response::new).collect::<io::Result<_>>()?;
    let mut text = serde_json::to_vec_pretty(&Document { larder: VERSION, responses })?;
    text.push(b'\n');
    Ok(text)
}

pub(super) fn decode(bytes: &Bytes, name: &Name) -> Result<Record, Garbage> {
    let document: Document = serde_json::from_slice(bytes).map_err(|_| other_version(bytes))?;
    if document.larder != VERSION {
        return Err(Garbage::OtherVersion);
    }
    let variants = document.responses.into_iter().map(|response| response.into_variant(name));
    let variants = variants.collect::<Option<Vec<_>>>().ok_or(Garbage::Broken)?;
    Ok(Record { variants })
}

fn other_version(bytes: &Bytes) -> Garbage {
    match serde_json::from_slice::<AnyVersion>(bytes) {
        Ok(found) if found.larder != VERSION => Garbage::OtherVersion,
        _ => Garbage::Broken,
    }
}
