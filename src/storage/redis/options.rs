//! What can be chosen, by methods or in a URL.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{Client, TlsCertificates};

use super::RedisStorage;
use super::error::NAME;
use super::layout::{MAX_NAMESPACE, MIN_CHUNK, MOST_CHUNKS, is_namespace};
use crate::storage::StorageError;
use crate::storage::kit::options::{HIDDEN, impossible, in_range, longer_than_nothing};
use crate::storage::url::{Options as UrlOptions, Schemes, check_credentials, opened};

/// The server deletes by times that it counts in milliseconds; what is longer than this says "never", and
/// [`ttl(false)`](RedisStorageBuilder::ttl) says it better.
const MAX_MARGIN: Duration = Duration::from_secs(3650 * 24 * 3600);
/// The time in a fence repeats itself after some two years.
const MAX_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[
        ("redis", "redis://host/"),
        ("redis+unix", "redis+unix:///socket"),
        ("redis+cluster", "redis+cluster://host,host"),
        ("redis+sentinel", "redis+sentinel://host,host/service"),
        ("rediss", "rediss://host/"),
        ("rediss+unix", ""),
        ("rediss+cluster", ""),
        ("rediss+sentinel", ""),
        ("valkey", ""),
        ("valkey+unix", ""),
        ("valkey+cluster", ""),
        ("valkey+sentinel", ""),
        ("valkeys", ""),
        ("valkeys+unix", ""),
        ("valkeys+cluster", ""),
        ("valkeys+sentinel", ""),
    ],
    open: |url| Box::pin(async move { opened(RedisStorage::connect(url.whole).await) }),
};

/// Options of a [`RedisStorage`]. Every one has a default, but for the server.
///
/// ```no_run
/// # async fn open() -> Result<(), larder::storage::StorageError> {
/// use std::time::Duration;
/// use larder::storage::RedisStorage;
///
/// let storage = RedisStorage::builder()
///     .url("rediss://cache:secret@redis.example/0")
///     .namespace("shop")
///     .inline_threshold(16 * 1024)
///     .timeout(Duration::from_secs(5))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect` is called"]
pub struct RedisStorageBuilder {
    pub(super) source: Option<Source>,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) connections: usize,
    pub(super) strict: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) certificates: Option<TlsCertificates>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) options: Options,
}

/// Where connections come from.
#[derive(Clone)]
pub(super) enum Source {
    Url(String),
    Client(Box<Client>),
    Manager(ConnectionManager),
    Cluster(ClusterConnection),
    Sentinel(Arc<tokio::sync::Mutex<SentinelClient>>),
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) namespace: String,
    pub(super) inline_threshold: usize,
    pub(super) chunk_size: usize,
    pub(super) max_body: u64,
    pub(super) max_variants: usize,
    pub(super) ttl: bool,
    pub(super) ttl_margin: Duration,
    pub(super) fill_window: Duration,
}

/// URLs and clients can have passwords in them, certificates a key: only what they are is shown.
impl fmt::Debug for RedisStorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            None => "none",
            Some(Source::Url(_)) => "url",
            Some(Source::Client(_)) => "client",
            Some(Source::Manager(_)) => "manager",
            Some(Source::Cluster(_)) => "cluster",
            Some(Source::Sentinel(_)) => "sentinel",
        };
        f.debug_struct("RedisStorageBuilder")
            .field("source", &source)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections", &self.connections)
            .field("strict", &self.strict)
            .field("ca_file", &self.ca_file)
            .field("certificates", &self.certificates.is_some())
            .field("sentinel_username", &self.sentinel_username)
            .field("sentinel_password", &self.sentinel_password.is_some())
            .field("options", &self.options)
            .finish()
    }
}

impl Default for RedisStorageBuilder {
    fn default() -> Self {
        Self {
            source: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            connections: 3,
            strict: false,
            ca_file: None,
            certificates: None,
            sentinel_username: None,
            sentinel_password: None,
            options: Options {
                namespace: "larder".to_owned(),
                inline_threshold: 32 * 1024,
                chunk_size: 256 * 1024,
                max_body: 1024 * 1024 * 1024,
                max_variants: 32,
                ttl: true,
                ttl_margin: Duration::from_secs(300),
                fill_window: Duration::from_secs(3600),
            },
        }
    }
}

impl RedisStorageBuilder {
    /// The server, by a URL. Of this and the other methods that name a server the last one counts.
    ///
    /// | URL | server |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server; `rediss://` over TLS |
    /// | `redis+unix:///run/redis.sock?db=0&user=u&pass=p` | one server by its Unix socket |
    /// | `redis+cluster://user:password@host1,host2:7000` | a cluster, by some of its nodes; `rediss+cluster://` |
    /// | `redis+sentinel://user:password@host1,host2:26379/service/0` | the primary of a service; `rediss+sentinel://` |
    ///
    /// `valkey` and `valkeys` in place of `redis` and `rediss` mean the same. The query can have the options of this
    /// builder, each under the name of its method, and of the driver's `protocol`, `db`, `user` and `pass`. An option in
    /// the query replaces what its method set.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.source = Some(Source::Url(url.into()));
        self
    }

    /// The server that this client connects to, with everything that was set there. The connections are made by the
    /// storage, with its timeouts.
    pub fn client(mut self, client: Client) -> Self {
        self.source = Some(Source::Client(Box::new(client)));
        self
    }

    /// A connection to use. Its own timeouts apply.
    pub fn manager(mut self, manager: ConnectionManager) -> Self {
        self.source = Some(Source::Manager(manager));
        self
    }

    /// A cluster to use. The connection's own timeouts apply.
    pub fn cluster(mut self, connection: ClusterConnection) -> Self {
        self.source = Some(Source::Cluster(connection));
        self
    }

    /// The primary that this client finds. The connections to it are made by the storage, with its timeouts.
    pub fn sentinel(mut self, client: SentinelClient) -> Self {
        self.source = Some(Source::Sentinel(Arc::new(tokio::sync::Mutex::new(client))));
        self
    }

    /// The first part of all keys: caches with different namespaces share a server and do not see each other. 1 to 48
    /// bytes, without braces and control characters. Default: `larder`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.options.namespace = namespace.into();
        self
    }

    /// Up to this many bytes a body is kept with its head, so that a hit is one round trip. At most 16 MiB. Default:
    /// 32 KiB.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.options.inline_threshold = bytes;
        self
    }

    /// The size of the chunks of longer bodies, in bytes: 1 KiB to 16 MiB. Default: 256 KiB.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.options.chunk_size = bytes;
        self
    }

    /// The longest body that is stored, in bytes; a body has fewer than 100 million chunks. Default: 1 GiB.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = bytes;
        self
    }

    /// How many variants are kept under one key: 1 to 1024. Default: 32.
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.options.max_variants = variants;
        self
    }

    /// Whether the server deletes entries that are no longer usable. Default: `true`.
    pub fn ttl(mut self, ttl: bool) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// How long after its usable time an entry is deleted, so that clocks may differ. At most 3650 days. Default: 5
    /// minutes.
    pub fn ttl_margin(mut self, margin: Duration) -> Self {
        self.options.ttl_margin = margin;
        self
    }

    /// How long a fill may take from its lookup to the last byte of the response, and so how long removals are
    /// remembered: 10 seconds to 30 days. The same for all who share the namespace. Default: 1 hour.
    pub fn fill_window(mut self, window: Duration) -> Self {
        self.options.fill_window = window;
        self
    }

    /// How long a reply may take. Not 0. Default: 10 seconds; the driver's own half second is too short for large
    /// values.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How long connecting may take. Not 0. Default: 3 seconds.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How many connections there are to a server: one for heads, over which all requests are pipelined, and the others
    /// for larger bodies, so that a hit does not wait behind them. 1 to 256. A cluster has one to each node. Default: 3.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Makes [`connect`](Self::connect) fail when the server cannot be reached or refuses. Without it the storage is
    /// there at once, and its calls fail until the server is there too.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// A file with the certificates, in PEM, of the authorities that servers must be certified by, in place of the
    /// usual ones.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Authorities, and a certificate of the client's own. Wins over [`ca_file`](Self::ca_file).
    pub fn certificates(mut self, certificates: TlsCertificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// The user to log in to the sentinels with; they do not get the user in the URL.
    pub fn sentinel_username(mut self, username: impl Into<String>) -> Self {
        self.sentinel_username = Some(username.into());
        self
    }

    /// The password to log in to the sentinels with.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }

    /// Takes the options out of the URL's query; what is left is the driver's.
    pub(super) fn with_url(mut self, url: &str) -> Result<(Self, String), StorageError> {
        check_credentials(NAME, url)?;
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options = UrlOptions::parse(NAME, query)?;
        let o = &mut options;
        self = o.set(self, "namespace", |builder, value: String| builder.namespace(value))?;
        self = o.set(self, "inline_threshold", Self::inline_threshold)?;
        self = o.set(self, "chunk_size", Self::chunk_size)?;
        self = o.set(self, "max_body", Self::max_body)?;
        self = o.set(self, "max_variants", Self::max_variants)?;
        self = o.set(self, "ttl", Self::ttl)?;
        self = o.set(self, "ttl_margin", Self::ttl_margin)?;
        self = o.set(self, "fill_window", Self::fill_window)?;
        self = o.set(self, "timeout", Self::timeout)?;
        self = o.set(self, "connect_timeout", Self::connect_timeout)?;
        self = o.set(self, "connections", Self::connections)?;
        self = o.set(self, "strict", |builder, strict| Self { strict, ..builder })?;
        self = o.set(self, "ca_file", |builder, value: String| builder.ca_file(value))?;
        self = o.set(self, "sentinel_username", |builder, value: String| builder.sentinel_username(value))?;
        self = o.set(self, "sentinel_password", |builder, value: String| builder.sentinel_password(value))?;
        let driver: Vec<_> =
            ["protocol", "db", "user", "pass"].into_iter().filter_map(|name| o.take_raw(name)).collect();
        options.finish()?;
        let query = if driver.is_empty() { String::new() } else { format!("?{}", driver.join("&")) };
        Ok((self, format!("{place}{query}")))
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        let Options { inline_threshold, chunk_size, max_body, max_variants, .. } = self.options;
        let Options { ttl_margin, fill_window, .. } = self.options;
        if !is_namespace(&self.options.namespace) {
            let possible = format!("1 to {MAX_NAMESPACE} bytes without braces and control characters");
            return Err(impossible(NAME, "namespace", HIDDEN, possible));
        }
        let (least, most) = (MIN_CHUNK as usize, 16 * 1024 * 1024);
        in_range(NAME, "inline_threshold", inline_threshold, 0..=most)?;
        in_range(NAME, "chunk_size", chunk_size, least..=most)?;
        let longest = (chunk_size as u64).saturating_mul(MOST_CHUNKS);
        in_range(NAME, "max_body", max_body, 0..=longest)?;
        in_range(NAME, "max_variants", max_variants, 1..=1024)?;
        in_range(NAME, "connections", self.connections, 1..=256)?;
        in_range(NAME, "ttl_margin", ttl_margin, Duration::ZERO..=MAX_MARGIN)?;
        in_range(NAME, "fill_window", fill_window, Duration::from_secs(10)..=MAX_WINDOW)?;
        longer_than_nothing(NAME, "timeout", self.timeout)?;
        longer_than_nothing(NAME, "connect_timeout", self.connect_timeout)
    }
}

impl Options {
    /// What scripts are told: milliseconds after the usable time, or -1 for no expiry.
    pub(super) fn margin(&self) -> i64 {
        if self.ttl { i64::try_from(self.ttl_margin.as_millis()).unwrap_or(i64::MAX) } else { -1 }
    }

    pub(super) fn window_millis(&self) -> i64 {
        i64::try_from(self.fill_window.as_millis()).unwrap_or(i64::MAX)
    }
}
