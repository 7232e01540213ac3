//! The names of keys, and their values.
//!
//! The text between the braces decides the slot of a cluster, so that all keys of one cache key share one.

mod record;

pub(in crate::storage::redis) use record::{
    ALIAS, FOREVER, MIN_CHUNK, MOST_CHUNKS, Meta, Record, Variant, measured, millis,
};

use crate::entry::EntryId;
use crate::key::CacheKey;

/// The version of the layout that is written, and the only one that is read.
pub(in crate::storage::redis) const VERSION: u64 = 2;

/// The longest namespace: a name with 64 characters between its braces is a record.
pub(in crate::storage::redis) const MAX_NAMESPACE: usize = 48;

/// Whether this namespace can be told from others.
pub(in crate::storage::redis) fn is_namespace(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAMESPACE
        && !text.contains(|c: char| matches!(c, '{' | '}') || c.is_control())
}

/// Makes the keys of one namespace.
#[derive(Clone, Debug)]
pub(in crate::storage::redis) struct Names {
    namespace: String,
}

impl Names {
    pub(in crate::storage::redis) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    pub(in crate::storage::redis) fn record(&self, key: &CacheKey) -> String {
        format!("{}:{{{}}}", self.namespace, key.hex_digest())
    }

    pub(in crate::storage::redis) fn record_of(&self, digest: &[u8; 32]) -> String {
        format!("{}:{{{}}}", self.namespace, blake3::Hash::from_bytes(*digest).to_hex())
    }

    pub(in crate::storage::redis) fn chunk(record: &str, id: EntryId, number: u64) -> String {
        format!("{record}:c:{id}:{number}")
    }

    pub(in crate::storage::redis) fn marks(&self) -> String {
        format!("{0}:{{{0}:marks}}", self.namespace)
    }

    pub(in crate::storage::redis) fn groups(&self) -> String {
        format!("{0}:{{{0}:marks}}:groups", self.namespace)
    }

    /// Matches all records of this namespace and nothing else.
    pub(in crate::storage::redis) fn records(&self) -> String {
        format!("{}:{{{}}}", escaped(&self.namespace), "?".repeat(64))
    }

    pub(in crate::storage::redis) fn chunks(&self) -> String {
        format!("{}:c:*", self.records())
    }

    /// The digest in the name of a record.
    pub(in crate::storage::redis) fn digest(&self, record: &[u8]) -> Option<[u8; 32]> {
        let rest = record.strip_prefix(self.namespace.as_bytes())?.strip_prefix(b":{")?;
        let hex = rest.strip_suffix(b"}")?;
        blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes())
    }

    /// The record that a chunk belongs to, and the id of the body.
    pub(in crate::storage::redis) fn of_chunk(name: &[u8]) -> Option<(String, EntryId)> {
        let name = std::str::from_utf8(name).ok()?;
        let (rest, _number) = name.rsplit_once(':')?;
        let (record, id) = rest.rsplit_once(":c:")?;
        Some((record.to_owned(), EntryId::from_bits(u128::from_str_radix(id, 16).ok()?)))
    }
}

/// `SCAN` takes a glob pattern.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Names, is_namespace};
    use crate::entry::EntryId;
    use crate::key::CacheKey;

    #[test]
    fn names_are_read_back() {
        let names = Names::new("a*[b]");
        let key = CacheKey::builder().part(CacheKey::URI, "x").build();
        let record = names.record(&key);
        assert_eq!(names.digest(record.as_bytes()), Some(key.digest()));
        assert_eq!(names.record_of(&key.digest()), record);
        let id = EntryId::random();
        let chunk = Names::chunk(&record, id, 7);
        assert_eq!(Names::of_chunk(chunk.as_bytes()), Some((record, id)));
        assert!(names.records().starts_with("a\\*\\[b\\]:{??"));
    }

    #[test]
    fn namespaces_that_could_be_taken_for_others_are_refused() {
        for bad in ["", "a{b", "a}b", "a\nb", &"x".repeat(49)] {
            assert!(!is_namespace(bad), "{bad:?}");
        }
    }
}
