//! The options of both storages, by builder and by URL.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mongodb::Client;
use mongodb::options::{ClientOptions, ReadPreference, WriteConcern};

use crate::storage::kit::Sizes;
use crate::storage::kit::options::{HIDDEN, impossible, in_range, longer_than_nothing};
use crate::storage::url::{self, OptionValue, Schemes, opened};
use crate::storage::{MongoStorage, StorageError};

/// How a MongoDB storage is named in URLs.
pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("mongodb", "mongodb://localhost/web?collection=cache"), ("mongodb+srv", "")],
    open: |url| Box::pin(async move { opened(MongoStorage::connect(url.whole).await) }),
};

/// Every variant under a key can carry an inline body, and a document may not pass 16 MB.
const MAX_INLINE_THRESHOLD: usize = 4 * 1024 * 1024;
/// All variants under a key are read by a lookup.
const MAX_VARIANTS: usize = 1024;
const MIN_CHUNK_SIZE: usize = 1024;
const MAX_CHUNK_SIZE: usize = 8 * 1024 * 1024;
/// The server counts the seconds of a TTL index in 32 bits.
const MAX_TTL_MARGIN: Duration = Duration::from_secs(i32::MAX as u64);
/// The server's limit for the name of a database.
const MAX_DATABASE: usize = 63;
/// Database, collection and `.chunks` together may have 255 bytes on the server.
const MAX_COLLECTION: usize = 180;

/// Sets up a [`MongoStorage`] or a `GridFsStorage`. The options are the same for both.
///
/// One of [`url`](Self::url), [`client_options`](Self::client_options) and [`client`](Self::client) is required.
///
/// ```no_run
/// # async fn example() -> Result<(), larder::storage::StorageError> {
/// use larder::storage::MongoStorage;
///
/// let storage = MongoStorage::builder()
///     .url("mongodb://cache.example/web?w=majority")
///     .collection("api_cache")
///     .max_body(64 * 1024 * 1024)
///     .connect()
///     .await?;
/// # let _ = storage;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `connect` is called"]
pub struct MongoStorageBuilder<S> {
    pub(super) url: Option<String>,
    pub(super) client_options: Option<Box<ClientOptions>>,
    pub(super) client: Option<Client>,
    pub(super) database: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) strict: bool,
    pub(super) options: Options,
    storage: PhantomData<fn() -> S>,
}

/// What an open storage needs to know.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) collection: String,
    bucket: Option<String>,
    pub(super) inline_threshold: usize,
    pub(super) chunk_size: usize,
    pub(super) max_body: Option<u64>,
    pub(super) max_variants: usize,
    pub(super) decode: bool,
    ttl: bool,
    ttl_margin: Duration,
    pub(super) timeout: Duration,
    pub(super) write_concern: Option<WriteConcern>,
    pub(super) read_preference: Option<ReadPreference>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            collection: "larder".to_owned(),
            bucket: None,
            inline_threshold: 64 * 1024,
            // As in GridFS: a document of 256 KiB, with room for its other fields.
            chunk_size: 255 * 1024,
            max_body: None,
            max_variants: 16,
            decode: false,
            ttl: true,
            // Clocks differ, and a response may be in use when its time ends.
            ttl_margin: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
            write_concern: None,
            read_preference: None,
        }
    }
}

/// URL, options and client can hold passwords: only whether they are set is shown.
impl<S> fmt::Debug for MongoStorageBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStorageBuilder")
            .field("url", &self.url.is_some())
            .field("client_options", &self.client_options.is_some())
            .field("client", &self.client.is_some())
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("strict", &self.strict)
            .field("options", &self.options)
            .finish()
    }
}

impl<S> MongoStorageBuilder<S> {
    pub(super) fn new() -> Self {
        Self {
            url: None,
            client_options: None,
            client: None,
            database: None,
            connect_timeout: None,
            strict: false,
            options: Options::default(),
            storage: PhantomData,
        }
    }

    /// The server's URL, in the form that [`MongoStorage::connect`] takes.
    ///
    /// Options of this builder can also be in its query, under the names of the methods; they win over the
    /// builder's. All other parameters of the query are the driver's: `w`, `readPreference`, `replicaSet`, `tls`,
    /// `authSource`, ...
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Options of the driver in place of a URL.
    ///
    /// Those that are not set get the defaults of this crate: [`connect_timeout`](Self::connect_timeout) to find and
    /// to reach a server, a heartbeat every 2 s, at most 64 connections.
    pub fn client_options(mut self, options: ClientOptions) -> Self {
        self.client_options = Some(Box::new(options));
        self
    }

    /// An existing client in place of a URL. It is used as it is.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The database. Default: the one that the URL, the client options or the client name, otherwise `larder`.
    ///
    /// 1 to 63 bytes, without `/`, `\`, `.`, `"`, `$`, spaces and NUL.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// The collection: the namespace of one cache. Default: `larder`.
    ///
    /// Caches with different collections do not see each other. 1 to 180 bytes, without `$` and NUL, without `.` at
    /// either end, and not beginning with `system.`.
    pub fn collection(mut self, name: impl Into<String>) -> Self {
        self.options.collection = name.into();
        self
    }

    /// The bucket for larger bodies: their chunks are in `<bucket>.chunks`. Default: the collection's name.
    ///
    /// Other programs may use the same bucket, for example `fs`. The name follows the rules of
    /// [`collection`](Self::collection).
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.options.bucket = Some(name.into());
        self
    }

    /// The longest body that is kept in its document and comes with a lookup, in bytes. Default: 64 KiB; at most 4 MiB.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.options.inline_threshold = bytes;
        self
    }

    /// The length of the chunks of larger bodies, in bytes. Default: 255 KiB; from 1 KiB to 8 MiB.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.options.chunk_size = bytes;
        self
    }

    /// The longest body that is stored, in bytes. Default: no limit.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = Some(bytes);
        self
    }

    /// How many variants are kept under one key. Default: 16; from 1 to 1024.
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.options.max_variants = variants;
        self
    }

    /// Whether text and JSON bodies in documents are also stored as text and BSON (fields `text` and `json`), for
    /// people and queries. Default: `false`.
    pub fn decode(mut self, decode: bool) -> Self {
        self.options.decode = decode;
        self
    }

    /// Whether the server deletes responses after their usable time, by a TTL index. Default: `true`.
    ///
    /// The cache that opened the collection last decides.
    pub fn ttl(mut self, ttl: bool) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// How long after its usable time the server deletes a response. Default: 1 h; rounded up to seconds.
    pub fn ttl_margin(mut self, margin: Duration) -> Self {
        self.options.ttl_margin = margin;
        self
    }

    /// How long one call to the server may take. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How long it may take to find a server, and to connect to it. Default: 3 s.
    ///
    /// What the URL or the client options set for the driver wins. A [`client`](Self::client) has its own.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How many members must have stored a write before it counts. Default: as the client has it.
    ///
    /// A removal that only one member knows of can be lost with that member: use a majority where removals must hold.
    pub fn write_concern(mut self, concern: WriteConcern) -> Self {
        self.options.write_concern = Some(concern);
        self
    }

    /// Which members answer lookups and send bodies. Default: as the client has it.
    ///
    /// Secondaries may be behind: a lookup there can find what was removed a moment ago. Whether a publication is
    /// refused is always decided by the primary.
    pub fn read_preference(mut self, preference: ReadPreference) -> Self {
        self.options.read_preference = Some(preference);
        self
    }

    /// Makes [`connect`](Self::connect) fail when the server cannot be used.
    ///
    /// Without it `connect` does not wait for the server, and calls fail until the server can be reached.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Takes the options that are named like the methods out of a URL's query. The rest is the driver's.
    pub(super) fn take_options(&mut self, url: &str, backend: &'static str) -> Result<String, StorageError> {
        let Some((base, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
        let mut given = url::Options::parse(backend, query)?;
        let options = &mut self.options;
        take(&mut given, "collection", |name| options.collection = name)?;
        take(&mut given, "bucket", |name| options.bucket = Some(name))?;
        take(&mut given, "inline_threshold", |bytes| options.inline_threshold = bytes)?;
        take(&mut given, "chunk_size", |bytes| options.chunk_size = bytes)?;
        take(&mut given, "max_body", |bytes| options.max_body = Some(bytes))?;
        take(&mut given, "max_variants", |variants| options.max_variants = variants)?;
        take(&mut given, "decode", |on| options.decode = on)?;
        take(&mut given, "ttl", |on| options.ttl = on)?;
        take(&mut given, "ttl_margin", |margin| options.ttl_margin = margin)?;
        take(&mut given, "timeout", |timeout| options.timeout = timeout)?;
        take(&mut given, "connect_timeout", |timeout| self.connect_timeout = Some(timeout))?;
        take(&mut given, "strict", |on| self.strict = on)?;
        let rest = given.rest();
        Ok(if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") })
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self, backend: &'static str) -> Result<(), StorageError> {
        let Options { inline_threshold, chunk_size, max_variants, ttl_margin, timeout, .. } = self.options;
        in_range(backend, "inline_threshold", inline_threshold, 0..=MAX_INLINE_THRESHOLD)?;
        in_range(backend, "chunk_size", chunk_size, MIN_CHUNK_SIZE..=MAX_CHUNK_SIZE)?;
        in_range(backend, "max_variants", max_variants, 1..=MAX_VARIANTS)?;
        in_range(backend, "ttl_margin", ttl_margin, Duration::ZERO..=MAX_TTL_MARGIN)?;
        longer_than_nothing(backend, "timeout", timeout)?;
        if let Some(timeout) = self.connect_timeout {
            longer_than_nothing(backend, "connect_timeout", timeout)?;
        }
        match self.impossible_name() {
            Some((option, possible)) => Err(impossible(backend, option, HIDDEN, possible)),
            None => Ok(()),
        }
    }

    /// The first name that the server would not take.
    fn impossible_name(&self) -> Option<(&'static str, &'static str)> {
        let Options { collection, bucket, .. } = &self.options;
        let possible =
            "1 to 180 bytes without `$` and NUL, without `.` at either end, and not beginning with `system.`";
        if self.database.as_deref().is_some_and(|name| !is_database(name)) {
            return Some(("database", r#"1 to 63 bytes without `/`, `\`, `.`, `"`, `$`, spaces and NUL"#));
        }
        if !is_collection(collection) {
            return Some(("collection", possible));
        }
        if bucket.as_deref().is_some_and(|name| !is_collection(name)) {
            return Some(("bucket", possible));
        }
        let of_bucket = collection.strip_prefix(self.options.bucket());
        let taken = of_bucket.is_some_and(|rest| matches!(rest, ".chunks" | ".files"));
        taken.then_some(("collection", "names that are not a collection of the bucket"))
    }
}

impl Options {
    /// The bucket of larger bodies: `<bucket>.chunks`, and `<bucket>.files`.
    pub(super) fn bucket(&self) -> &str {
        self.bucket.as_deref().unwrap_or(&self.collection)
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            inline: self.inline_threshold,
            chunk: self.chunk_size,
            max_body: self.max_body.unwrap_or(u64::MAX),
        }
    }

    /// How long after its usable time the server deletes a document; `None` for never.
    pub(super) fn delete_after(&self) -> Option<Duration> {
        let up = u64::from(self.ttl_margin.subsec_nanos() > 0);
        self.ttl.then_some(Duration::from_secs(self.ttl_margin.as_secs().saturating_add(up)))
    }
}

fn is_database(name: &str) -> bool {
    (1..=MAX_DATABASE).contains(&name.len()) && !name.contains(['/', '\\', '.', '"', '$', ' ', '\0'])
}

fn is_collection(name: &str) -> bool {
    let ends = name.starts_with('.') || name.ends_with('.') || name.starts_with("system.");
    (1..=MAX_COLLECTION).contains(&name.len()) && !name.contains(['$', '\0']) && !ends
}

fn take<T: OptionValue>(
    given: &mut url::Options,
    name: &'static str,
    apply: impl FnOnce(T),
) -> Result<(), StorageError> {
    if let Some(value) = given.take(name)? {
        apply(value);
    }
    Ok(())
}
