//! The cache key (RFC 9111 section 2).
//!
//! A stored response is found by its [`CacheKey`], which [`MakeKey`] makes from a request. [`Credentials`] and partitions
//! keep principals apart. [`target_uri`] and [`normalize`] bring URIs to one form. [`Selecting`] distinguishes the
//! variants under one key (section 4.1).

mod content;
mod default_key;
mod field_value;
mod make_key;
mod no_vary_search;
mod normalize;
mod principal;
mod resolve;
mod secret;
mod shown;
mod target;
mod unkeyed;
mod vary;

pub use content::RequestContent;
pub(crate) use content::has_content;
pub use default_key::DefaultKey;
pub use make_key::{MakeKey, RequestHead};
pub use no_vary_search::NoVarySearch;
pub(crate) use no_vary_search::{NO_VARY_SEARCH, path_key};
pub(crate) use normalize::userinfo;
pub use normalize::{normalize, origin, same_origin, target_uri};
pub use principal::Credentials;
pub(crate) use principal::{Principal, principal_hash_key};
pub use resolve::resolve;
pub(crate) use secret::is_secret_name;
pub(crate) use shown::{ShownFields, ShownUri, shown_uri};
pub(crate) use target::{normalized_target, origin_of, target_of};
pub(crate) use unkeyed::{names_another_target, overrides_method};
pub use vary::{MAX_SELECTING_FIELDS, Selecting, SelectingField, SelectingValue};

use std::fmt;

use bytes::Bytes;

/// The name under which responses are stored.
///
/// A key is a list of labelled parts (method class, target URI, body digest, partition, ...). Its
/// [canonical form](Self::canonical) writes every part behind its length, so that different parts can
/// never run together into the same key. Storages compare the canonical form on every read and may use
/// the [digest](Self::digest) as a name of fixed size.
///
/// ```
/// use larder::key::CacheKey;
///
/// let one = CacheKey::builder().part("a", "bc").build();
/// let other = CacheKey::builder().part("ab", "c").build();
/// assert_ne!(one, other);
/// assert_ne!(one.digest(), other.digest());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey {
    canonical: Bytes,
}

impl CacheKey {
    /// Starts a key without parts.
    pub fn builder() -> CacheKeyBuilder {
        CacheKeyBuilder::with_room(128)
    }

    /// The key with this canonical form, as read back from a storage.
    ///
    /// Returns `None` when the bytes are not a canonical form.
    #[must_use]
    pub fn from_canonical(canonical: Bytes) -> Option<Self> {
        let key = Self { canonical };
        let mut parts = key.parts();
        while parts.next().is_some() {}
        parts.rest.is_empty().then_some(key)
    }

    /// The injective encoding of all parts: `label:length:value,` for each.
    #[must_use]
    pub fn canonical(&self) -> &Bytes {
        &self.canonical
    }

    /// A 256-bit digest (BLAKE3) of the canonical form: a name of fixed size for file names and remote keys.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(&self.canonical).as_bytes()
    }

    /// The [digest](Self::digest) as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex_digest(&self) -> String {
        blake3::hash(&self.canonical).to_hex().to_string()
    }

    /// A fast 128-bit hash (XXH3) for maps and indexes inside one process or file. It is not
    /// collision resistant: compare the canonical form as well.
    #[must_use]
    pub fn hash128(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.canonical)
    }

    /// The value of the first part with this label.
    #[must_use]
    pub fn part(&self, label: &str) -> Option<&[u8]> {
        self.parts().find(|(found, _)| *found == label).map(|(_, value)| value)
    }

    /// The target URI, if the key has one: without userinfo, with path and query as they are sent.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.part(Self::URI).and_then(|uri| std::str::from_utf8(uri).ok())
    }

    /// Label of the keyed hash of the partition, which separates principals from each other.
    pub const PARTITION: &'static str = "p";
    /// Label of the keyed hash of the request's credentials.
    pub const CREDENTIALS: &'static str = "c";
    /// Label of the method class: `GET` stands for GET and HEAD.
    pub const METHOD: &'static str = "m";
    /// Label of the target URI.
    pub const URI: &'static str = "u";
    /// Label of the digest of a request body and its metadata.
    pub const BODY: &'static str = "b";

    /// The same key for another URI, with a mark that no request's key has.
    fn elsewhere(&self, uri: &str, mark: &str) -> Self {
        let mut key = CacheKeyBuilder::with_room(self.canonical.len() + uri.len() + mark.len());
        for (label, value) in self.parts() {
            key = key.part(label, if label == Self::URI { uri.as_bytes() } else { value });
        }
        key.part(mark, "").build()
    }

    fn parts(&self) -> Parts<'_> {
        Parts { rest: &self.canonical }
    }
}

impl fmt::Debug for CacheKey {
    /// Partitions, body digests and queries can be secret, so only the URI without its query is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKey").field("uri", &self.uri().map(ShownUri)).finish_non_exhaustive()
    }
}

struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (label, rest) = split_once(self.rest, b':')?;
        let (length, rest) = split_once(rest, b':')?;
        let label = std::str::from_utf8(label).ok()?;
        let length = read_decimal(length)?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b",")?;
        Some((label, value))
    }
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}

/// Builds a [`CacheKey`] from labelled parts.
#[must_use = "a builder does nothing until `build` is called"]
pub struct CacheKeyBuilder {
    canonical: Vec<u8>,
}

impl CacheKeyBuilder {
    pub(crate) fn with_room(room: usize) -> Self {
        Self { canonical: Vec::with_capacity(room) }
    }

    /// Adds a part. The label is any name without a colon (a colon is dropped). The value is any bytes.
    pub fn part(mut self, label: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.start_part(label, value.len());
        self.canonical.extend_from_slice(value);
        self.canonical.push(b',');
        self
    }

    /// Adds all parts of another key, which are in canonical form already.
    fn parts_of(mut self, key: &CacheKey) -> Self {
        self.canonical.extend_from_slice(&key.canonical);
        self
    }

    /// Adds a part whose value is the concatenation of all `pieces`.
    pub(crate) fn part_of(mut self, label: &str, pieces: &[&str]) -> Self {
        self.start_part(label, pieces.iter().map(|piece| piece.len()).sum());
        for piece in pieces {
            self.canonical.extend_from_slice(piece.as_bytes());
        }
        self.canonical.push(b',');
        self
    }

    fn start_part(&mut self, label: &str, len: usize) {
        if label.as_bytes().contains(&b':') {
            self.canonical.extend(label.bytes().filter(|byte| *byte != b':'));
        } else {
            self.canonical.extend_from_slice(label.as_bytes());
        }
        self.canonical.push(b':');
        write_decimal(&mut self.canonical, len);
        self.canonical.push(b':');
    }

    /// The key of all parts added.
    #[must_use]
    pub fn build(self) -> CacheKey {
        CacheKey { canonical: self.canonical.into() }
    }
}

impl fmt::Debug for CacheKeyBuilder {
    /// The parts can be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKeyBuilder").finish_non_exhaustive()
    }
}

/// Length of a part in the canonical form.
fn part_len(label: &str, len: usize) -> usize {
    let digits = len.checked_ilog10().unwrap_or(0) as usize + 1;
    label.len() + 1 + digits + 1 + len + 1
}

/// Formatting machinery costs more than the rest of the key, so the few digits are written here.
fn write_decimal(out: &mut Vec<u8>, mut number: usize) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// Reads what [`write_decimal`] writes and nothing else: a sign or a leading zero would make two forms of one key.
fn read_decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_usize, |number, digit| {
        let digit = usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number.checked_mul(10)?.checked_add(digit)
    })
}
