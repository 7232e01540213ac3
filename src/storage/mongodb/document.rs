//! A stored response as a document that people and queries can read, beside its exact form.

use http::HeaderMap;
use mongodb::bson::{Bson, Document, Timestamp, doc};

use super::decode::decoded;
use super::layout::{ALIAS_VARIANT, binary, date, kind, number, variant};
use crate::entry::{Alias, Group, StoredHead};
use crate::key::{Selecting, SelectingValue};

/// Where a response's body is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept<'a> {
    /// In the document; with `decode` also as text or BSON, where that is possible.
    Inline { body: &'a [u8], decode: bool },
    /// In chunks.
    Chunks,
}

/// The document of a response.
pub(super) fn response(head: &StoredHead, exact: Vec<u8>, kept: Kept<'_>, fence: i64) -> Document {
    let mut document = common(kind::RESPONSE, head, &variant(head), fence);
    let mut bytes = exact.len() as u64;
    document.extend(readable(head));
    document.insert("body_length", number(head.body_len()));
    match kept {
        Kept::Inline { body, decode } => {
            bytes += body.len() as u64;
            if decode {
                document.extend(decoded(&head.headers, body));
            }
            document.insert("body", binary(body.to_vec()));
        }
        Kept::Chunks => bytes += head.body_len(),
    }
    document.insert("bytes", number(bytes));
    document.insert("exact", binary(exact));
    document
}

/// The document of an alias; `exact` has the redirect's body in it.
pub(super) fn alias(alias: &Alias, exact: Vec<u8>, fence: i64) -> Document {
    let head = &alias.response.head;
    let mut document = common(kind::ALIAS, head, &ALIAS_VARIANT, fence);
    document.extend(readable(head));
    document.insert("target", alias.target.uri().map_or(Bson::Null, Bson::from));
    document.insert("target_key", alias.target.hex_digest());
    document.insert("bytes", number(exact.len() as u64));
    document.insert("exact", binary(exact));
    document
}

/// The fields that a freshened head changes in its document.
pub(super) fn freshened(head: &StoredHead, exact: Vec<u8>) -> Document {
    let mut document = readable(head);
    document.insert("variant", variant(head));
    document.insert("exact", binary(exact));
    document
}

fn common(kind: &str, head: &StoredHead, variant: &str, fence: i64) -> Document {
    doc! {
        "kind": kind,
        "key": head.key.hex_digest(),
        "variant": variant,
        "entry": head.id.to_string(),
        "fence": fence,
        // The server replaces this with its own time, which only grows.
        "published": Timestamp { time: 0, increment: 0 },
    }
}

/// The fields that a 304 may change. Secret values of selecting fields are not among them, and neither are
/// partitions.
fn readable(head: &StoredHead) -> Document {
    let range = head.range.map_or(Bson::Null, |range| {
        let length = range.complete_len.map_or(Bson::Null, |length| Bson::Int64(number(length)));
        Bson::Document(doc! { "first": number(range.first), "complete_length": length })
    });
    doc! {
        "url": &head.uri,
        "method": head.method.as_str(),
        "status": i32::from(head.status.as_u16()),
        "http_version": format!("{:?}", head.version),
        "request_time": date(head.request_time.as_millis()),
        "response_time": date(head.response_time.as_millis()),
        "usable_until": date(head.usable_until.as_millis()),
        "lifetime": i64::from(head.freshness.lifetime),
        "headers": fields(&head.headers),
        "trailers": head.trailers.as_ref().map(fields).unwrap_or_default(),
        "vary": selecting(&head.selecting),
        "range": range,
        "groups": head.groups.iter().map(group).collect::<Vec<_>>(),
    }
}

/// All field lines in order; a value that is not text stays binary.
fn fields(fields: &HeaderMap) -> Vec<Bson> {
    fields
        .iter()
        .map(|(name, value)| doc! { "name": name.as_str(), "value": text(value.as_bytes()) }.into())
        .collect()
}

fn selecting(selecting: &Selecting) -> Vec<Bson> {
    if selecting.any {
        return vec![doc! { "name": "*" }.into()];
    }
    let fields = selecting.fields.iter().map(|field| {
        let value = match &field.value {
            SelectingValue::Absent => Bson::Null,
            SelectingValue::Plain(value) => text(value),
            SelectingValue::Hashed(hash) => binary(hash.to_vec()).into(),
        };
        doc! { "name": field.name.as_str(), "value": value }.into()
    });
    fields.collect()
}

fn group(group: &Group) -> Bson {
    doc! { "origin": &group.origin, "name": &group.name }.into()
}

fn text(bytes: &[u8]) -> Bson {
    std::str::from_utf8(bytes).map_or_else(|_| binary(bytes.to_vec()).into(), Bson::from)
}
