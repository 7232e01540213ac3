//! What entries cost, and keeping that honest.

use std::mem::size_of;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::entry::{Alias, Group, StoredBody, StoredHead, StoredResponse};
use crate::key::{CacheKey, SelectingField, SelectingValue};

/// A slot, its place in the map, and its share of the map's free places and of its memory of evicted keys.
pub(super) const OF_A_SLOT: u64 = 400;

/// An allocation costs about this beyond its length.
const ALLOCATION: usize = 16;
/// A field's place in a `HeaderMap`: bucket and indices.
const FIELD: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 40;

pub(super) fn of_response(response: &StoredResponse) -> u64 {
    (of_head(&response.head) + of_body(&response.body) + size_of::<StoredResponse>()) as u64
}

pub(super) fn of_alias(alias: &Alias) -> u64 {
    of_response(&alias.response)
        + (size_of::<CacheKey>() + ALLOCATION + alias.target.canonical().len()) as u64
}

fn of_body(body: &StoredBody) -> usize {
    match body {
        StoredBody::Inline(bytes) => bytes.len() + ALLOCATION,
        StoredBody::Shared(chunks) => {
            chunks.iter().map(|chunk| chunk.len() + size_of_val(chunk) + 2 * ALLOCATION).sum::<usize>()
        }
        StoredBody::Streamed => 0,
    }
}

fn of_head(head: &StoredHead) -> usize {
    let groups = head.groups.capacity() * size_of::<Group>();
    let names: usize = head.groups.iter().map(|group| group.origin.capacity() + group.name.capacity()).sum();
    size_of::<StoredHead>()
        + 4 * ALLOCATION
        + head.key.canonical().len()
        + head.uri.capacity()
        + of_fields(&head.headers)
        + head.trailers.as_ref().map_or(0, of_fields)
        + head.selecting.fields.capacity() * size_of::<SelectingField>()
        + head.selecting.fields.iter().map(of_selecting).sum::<usize>()
        + groups
        + names
}

fn of_selecting(field: &SelectingField) -> usize {
    match &field.value {
        SelectingValue::Plain(value) => value.len() + ALLOCATION,
        SelectingValue::Absent | SelectingValue::Hashed(_) => 0,
    }
}

fn of_fields(fields: &HeaderMap) -> usize {
    let repeats = fields.len() - fields.keys_len();
    let bytes: usize = fields.values().map(|value| value.len() + ALLOCATION).sum();
    let names: usize = fields.keys().map(|name| name.as_str().len()).sum();
    fields.capacity() * FIELD + repeats * FIELD + bytes + names
}

/// Key and fields often are slices of a connection's read buffer, which they would keep alive.
pub(super) fn own_head(head: &mut StoredHead) {
    if let Some(key) = CacheKey::from_canonical(Bytes::copy_from_slice(head.key.canonical())) {
        head.key = key;
    }
    own_fields(&mut head.headers);
    if let Some(trailers) = &mut head.trailers {
        own_fields(trailers);
    }
}

/// Makes the values' memory their own. Common values share one for all.
fn own_fields(fields: &mut HeaderMap) {
    for value in fields.values_mut() {
        let known = COMMON.iter().find(|known| known.as_bytes() == value.as_bytes());
        let mut own = match known {
            Some(known) => HeaderValue::from_static(known),
            None => match HeaderValue::from_bytes(value.as_bytes()) {
                Ok(own) => own,
                Err(_) => continue,
            },
        };
        own.set_sensitive(value.is_sensitive());
        *value = own;
    }
}

/// Clones of a static value touch no counter that other threads touch too.
const COMMON: &[&str] = &[
    "",
    "*",
    "0",
    "1",
    "gzip",
    "br",
    "zstd",
    "bytes",
    "none",
    "nosniff",
    "DENY",
    "SAMEORIGIN",
    "chunked",
    "close",
    "keep-alive",
    "Accept-Encoding",
    "accept-encoding",
    "Accept",
    "Origin",
    "cloudflare",
    "nginx",
    "Apache",
    "no-cache",
    "public",
    "private",
    "max-age=0",
    "max-age=60",
    "max-age=300",
    "max-age=600",
    "max-age=3600",
    "max-age=86400",
    "public, max-age=0",
    "public, max-age=60",
    "public, max-age=300",
    "public, max-age=3600",
    "public, max-age=86400",
    "public, max-age=31536000",
    "public, max-age=31536000, immutable",
    "max-age=31536000",
    "private, max-age=0",
    "max-age=63072000",
    "1; mode=block",
    "application/json",
    "application/json; charset=utf-8",
    "application/javascript",
    "text/javascript",
    "text/javascript; charset=utf-8",
    "text/css",
    "text/css; charset=utf-8",
    "text/html",
    "text/html; charset=utf-8",
    "text/html; charset=UTF-8",
    "text/plain",
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "application/xml",
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/svg+xml",
    "font/woff2",
    "true",
    "strict-origin-when-cross-origin",
    "no-referrer",
    "en",
    "h3=\":443\"; ma=86400",
];
