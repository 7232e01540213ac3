//! The options of both backends, by builder and by URL.

use std::time::Duration;

use mongodb::options::{ReadPreference, WriteConcern};

use crate::storage::StorageError;
use crate::storage::url::OptionValue;
use crate::storage::url::Options;

/// Lookups bring up to this much of every variant's body along.
const DEFAULT_INLINE_THRESHOLD: usize = 64 * 1024;
/// Every variant under a key can carry an inline body, and a document may not pass 16 MB.
const MAX_INLINE_THRESHOLD: usize = 4 * 1024 * 1024;
/// What GridFS uses: a document of 256 KiB with a little to spare for its other fields.
const DEFAULT_CHUNK_SIZE: usize = 255 * 1024;
const MIN_CHUNK_SIZE: usize = 1024;
const MAX_CHUNK_SIZE: usize = 8 * 1024 * 1024;
/// Clocks differ, and a response may be in use when its time ends.
const DEFAULT_TTL_MARGIN: Duration = Duration::from_secs(3600);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) database: Option<String>,
    pub(super) collection: String,
    pub(super) bucket: Option<String>,
    pub(super) inline_threshold: usize,
    pub(super) chunk_size: usize,
    pub(super) max_body: Option<u64>,
    pub(super) decode: bool,
    pub(super) ttl: bool,
    pub(super) ttl_margin: Duration,
    pub(super) timeout: Duration,
    pub(super) strict: bool,
    pub(super) write_concern: Option<WriteConcern>,
    pub(super) read_preference: Option<ReadPreference>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            collection: "larder".to_owned(),
            bucket: None,
            inline_threshold: DEFAULT_INLINE_THRESHOLD,
            chunk_size: DEFAULT_CHUNK_SIZE,
            max_body: None,
            decode: false,
            ttl: true,
            ttl_margin: DEFAULT_TTL_MARGIN,
            timeout: DEFAULT_TIMEOUT,
            strict: false,
            write_concern: None,
            read_preference: None,
        }
    }
}

impl Settings {
    pub(super) fn set_inline_threshold(&mut self, bytes: usize) {
        self.inline_threshold = bytes.min(MAX_INLINE_THRESHOLD);
    }

    pub(super) fn set_chunk_size(&mut self, bytes: usize) {
        self.chunk_size = bytes.clamp(MIN_CHUNK_SIZE, MAX_CHUNK_SIZE);
    }

    /// The bucket that bodies go to: `<bucket>.chunks`, and `<bucket>.files`.
    pub(super) fn bucket(&self) -> &str {
        self.bucket.as_deref().unwrap_or(&self.collection)
    }

    /// How long after its usable time the server deletes a document; `None` for never.
    pub(super) fn delete_after(&self) -> Option<Duration> {
        self.ttl.then_some(self.ttl_margin)
    }

    /// Takes the options that are named like the builder's methods out of a URL's query. The rest is the driver's.
    pub(super) fn split_url(&mut self, url: &str, backend: &'static str) -> Result<String, StorageError> {
        let Some((base, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
        let mut options = Options::parse(backend, query)?;
        take(&mut options, "collection", |name| self.collection = name)?;
        take(&mut options, "bucket", |name| self.bucket = Some(name))?;
        take(&mut options, "inline_threshold", |bytes| self.set_inline_threshold(bytes))?;
        take(&mut options, "chunk_size", |bytes| self.set_chunk_size(bytes))?;
        take(&mut options, "max_body", |bytes| self.max_body = Some(bytes))?;
        take(&mut options, "decode", |on| self.decode = on)?;
        take(&mut options, "ttl", |on| self.ttl = on)?;
        take(&mut options, "ttl_margin", |margin| self.ttl_margin = margin)?;
        take(&mut options, "timeout", |timeout| self.timeout = timeout)?;
        take(&mut options, "strict", |on| self.strict = on)?;
        let rest = options.rest();
        Ok(if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") })
    }
}

fn take<T: OptionValue>(
    options: &mut Options,
    name: &'static str,
    apply: impl FnOnce(T),
) -> Result<(), StorageError> {
    if let Some(value) = options.take(name)? {
        apply(value);
    }
    Ok(())
}
