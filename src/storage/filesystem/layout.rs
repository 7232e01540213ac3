//! Names of files: where the files below the root are, and which names are those of a cache.

use crate::entry::EntryId;
use crate::key::CacheKey;

use super::options::Format;

/// Says that the directory is a cache, of which version and format.
pub(super) const MARKER: &str = "larder.json";
/// Counters and fences shared by all processes.
pub(super) const STATE: &str = "state";
pub(super) const RESPONSES: &str = "responses";
pub(super) const BODIES: &str = "bodies";
pub(super) const ALIASES: &str = "aliases";
/// How many invalidations there were, and the last of every few groups.
pub(super) const INVALIDATED: &str = "invalidated";
/// Where invalidations used to be kept: one file for each group.
pub(super) const FORMER_GROUPS: &str = "groups";
pub(super) const TEMP: &str = "temp";
pub(super) const LOCKS: &str = "locks";

/// Number of fan-out directories in each keyspace: one per first byte of a digest.
pub(super) const FANS: usize = 256;

/// All fan-out directories.
pub(super) fn fans() -> impl Iterator<Item = u8> {
    (0..FANS).filter_map(|fan| u8::try_from(fan).ok())
}

/// The name of a fan-out directory and of its lock file.
pub(super) fn fan_name(fan: u8) -> String {
    format!("{fan:02x}")
}

/// Where the files of one key are: its digest, and the digest in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    digest: [u8; 32],
    hex: String,
}

impl Name {
    pub(super) fn of(key: &CacheKey) -> Self {
        Self::from_digest(key.digest())
    }

    pub(super) fn from_digest(digest: [u8; 32]) -> Self {
        let hex = blake3::Hash::from_bytes(digest).to_hex().to_string();
        Self { digest, hex }
    }

    /// The key's name from the name of its record file; `None` for any other file.
    pub(super) fn of_record(file_name: &str, format: Format) -> Option<Self> {
        Self::parse(file_name.strip_suffix(format.record_suffix())?)
    }

    /// The key's name from the name of a body file; `None` for any other file.
    pub(super) fn of_body(file_name: &str) -> Option<Self> {
        let mut parts = file_name.split('.');
        let name = Self::parse(parts.next()?)?;
        let id = parts.next()?;
        let extension = parts.next()?;
        let sums = parts.next().is_none_or(|last| last == SUMS);
        let ours = id.len() == 32 && is_hex(id) && is_extension(extension) && sums && parts.next().is_none();
        ours.then_some(name)
    }

    fn parse(hex: &str) -> Option<Self> {
        if !is_hex(hex) {
            return None;
        }
        let digest = *blake3::Hash::from_hex(hex).ok()?.as_bytes();
        Some(Self { digest, hex: hex.to_owned() })
    }

    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The fan-out directory, which is also what is locked together.
    pub(super) fn fan(&self) -> u8 {
        self.digest.first().copied().unwrap_or_default()
    }

    /// A number below 16 that spreads the keys of one fan-out directory over its fences.
    pub(super) fn fence_slot(&self) -> u8 {
        self.digest.get(1).copied().unwrap_or_default() & 0x0f
    }

    /// The file of all heads under the key, relative to a keyspace's directory.
    pub(super) fn record(&self, format: Format) -> String {
        let fan = self.hex.get(..2).unwrap_or_default();
        [fan, "/", &self.hex, format.record_suffix()].concat()
    }

    /// The file of a large body, relative to the bodies' directory.
    pub(super) fn body(&self, id: EntryId, extension: &str) -> String {
        let fan = self.hex.get(..2).unwrap_or_default();
        format!("{fan}/{hex}.{id}.{extension}", hex = self.hex)
    }
}

/// What is added to the name of a plain body file for the file of its checksums.
pub(super) const SUMS: &str = "sums";

/// The file of a plain body's checksums.
pub(super) fn sums_of(body: &str) -> String {
    format!("{body}.{SUMS}")
}

/// Whether this can be the extension of a body file: no dots, no separators, not the name of the checksums.
pub(super) fn is_extension(extension: &str) -> bool {
    (1..=8).contains(&extension.len())
        && extension != SUMS
        && extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
