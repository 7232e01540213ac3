//! Distinguishing variants: the selecting header fields (RFC 9111 section 4.1).

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use super::CacheKey;
use super::field_value::{canonical, same_value};
use super::secret::is_secret_name;
use super::shown::is_shown;

/// The most fields that `Vary` may nominate; a response that nominates more is never selected.
pub const MAX_SELECTING_FIELDS: usize = 64;

/// The longest value that is kept as it is; of a longer one the hash is kept.
const MAX_PLAIN_LEN: usize = 1024;

/// The fields that `Vary` nominated, with their values in the request that was answered.
///
/// Two of them are equal if they select the same variant. Values are compared by their meaning if the field's syntax is
/// known (order and case in `Accept-Language`, white space, repeated lines).
///
/// ```
/// use http::{HeaderMap, HeaderValue, header};
/// use larder::key::{CacheKey, Selecting};
///
/// let key = CacheKey::builder().part(CacheKey::URI, "https://example.com/").build();
/// let vary = HeaderMap::from_iter([(header::VARY, HeaderValue::from_static("Accept-Language"))]);
/// let asks = |languages| HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(languages))]);
///
/// let selecting = Selecting::new(&vary, &asks("en, de"), &key, b"secret");
/// assert!(selecting.matches(&asks("DE,en"), &key, b"secret"));
/// assert!(!selecting.matches(&asks("fr"), &key, b"secret"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selecting {
    /// `Vary: *`, or a `Vary` that cannot be understood: matches no request.
    pub any: bool,
    /// The nominated fields, sorted by name, each once.
    pub fields: Vec<SelectingField>,
}

/// One selecting header field.
#[derive(Clone)]
pub struct SelectingField {
    /// The field's name.
    pub name: HeaderName,
    /// Its value in the request that was answered.
    pub value: SelectingValue,
}

impl PartialEq for SelectingField {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.value, &other.value) {
                (SelectingValue::Plain(one), SelectingValue::Plain(other)) => {
                    same_value(&self.name, one, other)
                }
                (one, other) => one == other,
            }
    }
}

impl Eq for SelectingField {}

impl fmt::Debug for SelectingField {
    /// The value is shown where the field is one of negotiation: any other can be a secret, or a URI with one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            SelectingValue::Plain(value) if is_shown(&self.name) => write!(f, "{}: {value:?}", self.name),
            value => write!(f, "{}: {value:?}", self.name),
        }
    }
}

/// The value of a selecting header field.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectingValue {
    /// The request had no such field.
    Absent,
    /// The value; several lines are combined into one.
    Plain(Bytes),
    /// Keyed hash of a value that carries a secret (Authorization, Cookie, ...), or of a very long one.
    Hashed([u8; 32]),
}

impl fmt::Debug for SelectingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Plain(value) => write!(f, "Plain({} bytes)", value.len()),
            Self::Hashed(_) => f.write_str("Hashed"),
        }
    }
}

impl Selecting {
    /// The fields that `Vary` of `response` nominates, with their values in `request`.
    ///
    /// Secret values are kept as a hash only, under a key derived from `secret` and the `key` of the stored
    /// response: equal values under one key have equal hashes, and a hash tells nothing about other keys.
    #[must_use]
    pub fn new(response: &HeaderMap, request: &HeaderMap, key: &CacheKey, secret: &[u8]) -> Self {
        let Some(names) = nominated(response) else { return Self { any: true, fields: Vec::new() } };
        let hasher = Hasher { key, secret };
        let fields = names.into_iter().map(|name| {
            let value = selecting_value(&name, request, &hasher);
            SelectingField { name, value }
        });
        Self { any: false, fields: fields.collect() }
    }

    /// Whether a request with these fields selects the response; `key` and `secret` as for [`new`](Self::new).
    #[must_use]
    pub fn matches(&self, request: &HeaderMap, key: &CacheKey, secret: &[u8]) -> bool {
        // Section 4.1: "A stored response with a Vary header field value containing a member "*" always fails to match."
        !self.any && self.fields.iter().all(|field| field.matches(request, &Hasher { key, secret }))
    }

    /// The nominated fields' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.iter().map(|field| &field.name)
    }

    /// A digest (BLAKE3) that identifies this variant: two digests are equal exactly if the values are equal.
    /// A storage can name a variant by it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[u8::from(self.any)]);
        for SelectingField { name, value } in &self.fields {
            update_with_length(&mut hasher, name.as_str().as_bytes());
            match value {
                SelectingValue::Absent => hasher.update(&[0]),
                SelectingValue::Plain(value) => {
                    hasher.update(&[1]);
                    update_with_length(&mut hasher, &canonical(name, value))
                }
                SelectingValue::Hashed(hash) => hasher.update(&[2]).update(hash),
            };
        }
        *hasher.finalize().as_bytes()
    }
}

impl SelectingField {
    fn matches(&self, request: &HeaderMap, hasher: &Hasher<'_>) -> bool {
        match &self.value {
            // "If (after any normalization that might take place) a header field is absent from a request, it can
            // only match another request if it is also absent there."
            SelectingValue::Absent => !request.contains_key(&self.name),
            SelectingValue::Plain(stored) => match only_value(&self.name, request) {
                Lines::None => false,
                Lines::One(value) => {
                    let value = value.as_bytes();
                    value == stored || same_value(&self.name, value, stored)
                }
                Lines::Many => same_value(&self.name, &combined(&self.name, request), stored),
            },
            SelectingValue::Hashed(stored) => {
                request.contains_key(&self.name)
                    && blake3::Hash::from(*stored) == hasher.hash(&self.name, &combined(&self.name, request))
            }
        }
    }
}

/// The names that `Vary` nominates, or `None` where no request may match.
fn nominated(response: &HeaderMap) -> Option<Vec<HeaderName>> {
    let lines = response.get_all(header::VARY);
    let mut names = Vec::new();
    for line in &lines {
        for member in line.as_bytes().split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() {
                continue;
            }
            // `*` is a valid field name to the parser.
            if member == b"*" || names.len() == MAX_SELECTING_FIELDS {
                return None;
            }
            names.push(HeaderName::from_bytes(member).ok()?);
        }
    }
    // A Vary that nominates nothing was meant to nominate something.
    if names.is_empty() && lines.iter().next().is_some() {
        return None;
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    Some(names)
}

fn selecting_value(name: &HeaderName, request: &HeaderMap, hasher: &Hasher<'_>) -> SelectingValue {
    let lines = request.get_all(name);
    if lines.iter().next().is_none() {
        return SelectingValue::Absent;
    }
    let value = combined(name, request);
    let sensitive = lines.iter().any(HeaderValue::is_sensitive);
    if sensitive || is_secret_name(name) || value.len() > MAX_PLAIN_LEN {
        SelectingValue::Hashed(*hasher.hash(name, &value).as_bytes())
    } else {
        SelectingValue::Plain(value.into())
    }
}

enum Lines<'a> {
    None,
    One(&'a HeaderValue),
    Many,
}

fn only_value<'a>(name: &HeaderName, request: &'a HeaderMap) -> Lines<'a> {
    let mut lines = request.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Lines::None,
        (Some(value), None) => Lines::One(value),
        (Some(_), Some(_)) => Lines::Many,
    }
}

/// All lines of a field as one: section 4.1 allows "combining multiple header fields with the same field name".
fn combined(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    // HTTP/2 may split Cookie at its own separator (RFC 9113 section 8.2.3).
    let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b", " };
    let lines: Vec<_> = request.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).collect();
    lines.join(separator)
}

/// Hashes secret values under a key of their own for every stored key.
struct Hasher<'a> {
    key: &'a CacheKey,
    secret: &'a [u8],
}

impl Hasher<'_> {
    fn hash(&self, name: &HeaderName, value: &[u8]) -> blake3::Hash {
        let mut derived = blake3::Hasher::new_derive_key("larder 2025 selecting header field values");
        update_with_length(&mut derived, self.secret);
        update_with_length(&mut derived, self.key.canonical());
        let mut hasher = blake3::Hasher::new_keyed(derived.finalize().as_bytes());
        update_with_length(&mut hasher, name.as_str().as_bytes());
        update_with_length(&mut hasher, &canonical(name, value));
        hasher.finalize()
    }
}

fn update_with_length<'h>(hasher: &'h mut blake3::Hasher, bytes: &[u8]) -> &'h mut blake3::Hasher {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes)
}
