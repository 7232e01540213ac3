//! One stored response in a JSON record.

use std::io;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::entry::{BodySummary, EntryId, Freshness, Group, StoredHead, StoredRange};
use crate::key::{CacheKey, Selecting, SelectingField, SelectingValue};

use super::super::layout::{BODIES, Name, is_extension};
use super::super::record::{Place, Variant};
use super::body::{Body, Field, Octets};
use super::time::Time;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    url: String,
    method: String,
    status: u16,
    version: String,
    fields: Vec<Field>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Body>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trailers: Option<Vec<Field>>,
    request_time: Time,
    response_time: Time,
    usable_until: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<Range>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<NamedGroup>,
    as_of: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    authorized: bool,
    vary: Vary,
    freshness: Lifetime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirects_to: Option<Octets>,
    key: Octets,
    id: String,
    format: u32,
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_checksum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    first: u64,
    complete_length: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedGroup {
    origin: String,
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vary {
    any: bool,
    fields: Vec<(String, VaryValue)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VaryValue {
    Absent,
    Value(Octets),
    Hashed(String),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    lifetime_seconds: u32,
    initial_age_millis: u64,
    explicit: bool,
    overridden: bool,
    outdated: bool,
    date: Time,
    no_cache: bool,
    must_revalidate: bool,
    immutable: bool,
    stale_while_revalidate: u32,
    stale_if_error: u32,
    settings: u64,
}

impl Response {
    pub(super) fn new(variant: &Variant) -> io::Result<Self> {
        // Named one by one, so that a value added to the head cannot be forgotten here.
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
            body,
            range,
            groups,
            as_of,
        } = &*variant.head;
        let groups = groups
            .iter()
            .map(|Group { origin, name }| NamedGroup { origin: origin.clone(), name: name.clone() });
        let mut response = Self {
            url: uri.clone(),
            method: method.to_string(),
            status: status.as_u16(),
            version: version_name(*version).to_owned(),
            fields: fields(headers),
            body: None,
            trailers: trailers.as_ref().map(fields),
            request_time: Time(*request_time),
            response_time: Time(*response_time),
            usable_until: Time(*usable_until),
            range: range
                .map(|StoredRange { first, complete_len }| Range { first, complete_length: complete_len }),
            groups: groups.collect(),
            as_of: *as_of,
            authorized: *authorized,
            vary: Vary::new(selecting),
            freshness: Lifetime::new(*freshness),
            redirects_to: variant.target.as_ref().map(|target| Octets::new(target.canonical())),
            key: Octets::new(key.canonical()),
            id: id.to_string(),
            format: super::FORMAT,
            length: variant.head.body_len(),
            body_checksum: body.map(|body| hex(body.checksum)),
            checksum: None,
        };
        response.checksum = Some(hex(response.sum(&variant.place)?));
        response.body = Some(match &variant.place {
            Place::Inline(bytes) => Body::inline(bytes, headers),
            Place::File { extension } => Body::file(body_path(&Name::of(key), *id, extension)),
        });
        Ok(response)
    }

    /// Checksum of all values; the body counts by its bytes, however it is written.
    fn sum(&self, place: &Place) -> io::Result<u64> {
        let mut hasher = Xxh3::new();
        hasher.update(&serde_json::to_vec(self)?);
        match place {
            Place::Inline(bytes) => {
                hasher.update(b"inline");
                hasher.update(bytes);
            }
            Place::File { extension } => {
                hasher.update(b"file");
                hasher.update(extension.as_bytes());
            }
        }
        Ok(hasher.digest())
    }

    /// The response, if the values make one and are those that were written.
    pub(super) fn into_variant(mut self, name: &Name) -> Option<Variant> {
        let checksum = self.checksum.take();
        let body = self.body.take()?;
        let place = match body.file {
            Some(path) => {
                let extension = path.rsplit('.').next().filter(|extension| is_extension(extension))?;
                let expected = body_path(name, parse_id(&self.id)?, extension);
                (expected == path).then(|| Place::File { extension: extension.to_owned() })?
            }
            None => Place::Inline(body.into_bytes()?),
        };
        if let Some(checksum) = &checksum
            && *checksum != hex(self.sum(&place).ok()?)
        {
            return None;
        }
        let edited = checksum.is_none();
        let body = match &place {
            // What a person wrote is right by definition.
            Place::Inline(bytes) if edited => Some(BodySummary::of(bytes)),
            Place::Inline(bytes) if bytes.len() as u64 != self.length => return None,
            _ => match &self.body_checksum {
                Some(checksum) => Some(BodySummary { len: self.length, checksum: parse_hex(checksum)? }),
                None => None,
            },
        };
        let head = self.head(body)?;
        let target = match self.redirects_to {
            Some(target) => Some(CacheKey::from_canonical(target.into_bytes()?)?),
            None => None,
        };
        // The file's name is the key's digest; a key changed by hand belongs to another file.
        (Name::of(&head.key) == *name).then(|| Variant { head: Arc::new(head), place, target })
    }

    fn head(&mut self, body: Option<BodySummary>) -> Option<StoredHead> {
        let key = std::mem::replace(&mut self.key, Octets::new(b""));
        let groups = self.groups.drain(..).map(|NamedGroup { origin, name }| Group { origin, name });
        let range = self
            .range
            .map(|Range { first, complete_length }| StoredRange { first, complete_len: complete_length });
        Some(StoredHead {
            id: parse_id(&self.id)?,
            key: CacheKey::from_canonical(key.into_bytes()?)?,
            method: Method::from_bytes(self.method.as_bytes()).ok()?,
            authorized: self.authorized,
            uri: std::mem::take(&mut self.url),
            status: StatusCode::from_u16(self.status).ok()?,
            version: version(&self.version)?,
            headers: header_map(std::mem::take(&mut self.fields))?,
            trailers: match self.trailers.take() {
                Some(trailers) => Some(header_map(trailers)?),
                None => None,
            },
            request_time: self.request_time.0,
            response_time: self.response_time.0,
            usable_until: self.usable_until.0,
            selecting: std::mem::take(&mut self.vary).into_selecting()?,
            freshness: self.freshness.into_freshness(),
            body,
            range,
            groups: groups.collect(),
            as_of: self.as_of,
        })
    }
}

impl Default for Vary {
    fn default() -> Self {
        Self { any: true, fields: Vec::new() }
    }
}

impl Vary {
    fn new(Selecting { any, fields }: &Selecting) -> Self {
        let fields = fields.iter().map(|SelectingField { name, value }| {
            let value = match value {
                SelectingValue::Absent => VaryValue::Absent,
                SelectingValue::Plain(value) => VaryValue::Value(Octets::new(value)),
                SelectingValue::Hashed(hash) => {
                    VaryValue::Hashed(blake3::Hash::from_bytes(*hash).to_hex().to_string())
                }
            };
            (name.as_str().to_owned(), value)
        });
        Self { any: *any, fields: fields.collect() }
    }

    fn into_selecting(self) -> Option<Selecting> {
        let fields = self.fields.into_iter().map(|(name, value)| {
            let value = match value {
                VaryValue::Absent => SelectingValue::Absent,
                VaryValue::Value(value) => SelectingValue::Plain(value.into_bytes()?),
                VaryValue::Hashed(hash) => {
                    SelectingValue::Hashed(*blake3::Hash::from_hex(hash).ok()?.as_bytes())
                }
            };
            Some(SelectingField { name: HeaderName::from_bytes(name.as_bytes()).ok()?, value })
        });
        Some(Selecting { any: self.any, fields: fields.collect::<Option<_>>()? })
    }
}

impl Lifetime {
    fn new(freshness: Freshness) -> Self {
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
        } = freshness;
        Self {
            lifetime_seconds: lifetime,
            initial_age_millis: initial_age,
            explicit,
            overridden,
            outdated,
            date: Time(date),
            no_cache,
            must_revalidate,
            immutable,
            stale_while_revalidate,
            stale_if_error,
            settings,
        }
    }

    fn into_freshness(self) -> Freshness {
        Freshness {
            settings: self.settings,
            lifetime: self.lifetime_seconds,
            initial_age: self.initial_age_millis,
            no_cache: self.no_cache,
            must_revalidate: self.must_revalidate,
            immutable: self.immutable,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            explicit: self.explicit,
            overridden: self.overridden,
            outdated: self.outdated,
            date: self.date.0,
        }
    }
}

fn fields(headers: &HeaderMap) -> Vec<Field> {
    headers
        .iter()
        .map(|(name, value)| Field { name: name.as_str().to_owned(), value: Octets::new(value.as_bytes()) })
        .collect()
}

fn header_map(fields: Vec<Field>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::try_with_capacity(fields.len()).ok()?;
    for Field { name, value } in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(value.into_bytes()?).ok()?;
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

const VERSIONS: [(Version, &str); 5] = [
    (Version::HTTP_09, "HTTP/0.9"),
    (Version::HTTP_10, "HTTP/1.0"),
    (Version::HTTP_11, "HTTP/1.1"),
    (Version::HTTP_2, "HTTP/2"),
    (Version::HTTP_3, "HTTP/3"),
];

fn version_name(version: Version) -> &'static str {
    VERSIONS.iter().find(|(known, _)| *known == version).map_or("HTTP/1.1", |(_, name)| name)
}

fn version(name: &str) -> Option<Version> {
    VERSIONS.iter().find(|(_, known)| *known == name).map(|(version, _)| *version)
}

/// Where people find a large body, from the root on.
fn body_path(name: &Name, id: EntryId, extension: &str) -> String {
    format!("{BODIES}/{}", name.body(id, extension))
}

fn parse_id(digits: &str) -> Option<EntryId> {
    (digits.len() == 32).then(|| u128::from_str_radix(digits, 16).ok()).flatten().map(EntryId::from_bits)
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

fn parse_hex(digits: &str) -> Option<u64> {
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}
