//! Everything that can be set.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::TlsCertificates;

use super::RedisStorage;
use super::layout::MIN_CHUNK;
use crate::storage::url::{Schemes, opened};

/// No body is kept with its head beyond this length, whatever is set.
pub(super) const MAX_INLINE: usize = 16 * 1024 * 1024;

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

/// Sets up a [`RedisStorage`].
///
/// ```no_run
/// # async fn open() -> Result<(), larder::storage::StorageError> {
/// use std::time::Duration;
/// use larder::storage::RedisStorage;
///
/// let storage = RedisStorage::builder()
///     .namespace("shop")
///     .inline_threshold(16 * 1024)
///     .response_timeout(Duration::from_secs(5))
///     .connect("rediss://cache:secret@redis.example/0")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it is connected"]
pub struct RedisStorageBuilder {
    pub(super) namespace: String,
    pub(super) inline: usize,
    pub(super) chunk: usize,
    pub(super) max_body: u64,
    pub(super) max_variants: usize,
    ttl: bool,
    ttl_margin: Duration,
    pub(super) fill_window: Duration,
    pub(super) response_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) connections: usize,
    pub(super) strict: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) certificates: Option<TlsCertificates>,
    pub(super) sentinel_username: Option<String>,
    pub(super) sentinel_password: Option<String>,
}

/// Without passwords, certificates and keys.
impl fmt::Debug for RedisStorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStorageBuilder")
            .field("namespace", &self.namespace)
            .field("inline_threshold", &self.inline)
            .field("chunk_size", &self.chunk)
            .field("max_body", &self.max_body)
            .field("max_variants", &self.max_variants)
            .field("ttl", &self.ttl)
            .field("ttl_margin", &self.ttl_margin)
            .field("fill_window", &self.fill_window)
            .field("response_timeout", &self.response_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections", &self.connections)
            .field("strict", &self.strict)
            .field("ca_file", &self.ca_file)
            .field("certificates", &self.certificates.is_some())
            .field("sentinel_username", &self.sentinel_username)
            .field("sentinel_password", &self.sentinel_password.is_some())
            .finish()
    }
}

impl Default for RedisStorageBuilder {
    fn default() -> Self {
        Self {
            namespace: "larder".to_owned(),
            inline: 32 * 1024,
            chunk: 256 * 1024,
            max_body: 1024 * 1024 * 1024,
            max_variants: 32,
            ttl: true,
            ttl_margin: Duration::from_secs(300),
            fill_window: Duration::from_secs(3600),
            response_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            connections: 3,
            strict: false,
            ca_file: None,
            certificates: None,
            sentinel_username: None,
            sentinel_password: None,
        }
    }
}

impl RedisStorageBuilder {
    /// The first part of all keys, `larder` unless set: caches with different namespaces share a server and do not
    /// see each other. At most 48 bytes, without braces and control characters.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Up to which length a body is kept with its head, so that a hit is one round trip; 32 KiB unless set.
    pub const fn inline_threshold(mut self, bytes: usize) -> Self {
        self.inline = bytes;
        self
    }

    /// The length of the pieces of larger bodies, 256 KiB unless set; from 1 KiB to 16 MiB.
    pub const fn chunk_size(mut self, bytes: usize) -> Self {
        self.chunk = if bytes < MIN_CHUNK as usize {
            MIN_CHUNK as usize
        } else if bytes > 16 * 1024 * 1024 {
            16 * 1024 * 1024
        } else {
            bytes
        };
        self
    }

    /// The largest body that is stored; 1 GiB unless set.
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many variants are kept under one key; 32 unless set.
    pub const fn max_variants(mut self, variants: usize) -> Self {
        self.max_variants = if variants == 0 { 1 } else { variants };
        self
    }

    /// Whether the server deletes what is of no use any more; it does unless switched off.
    pub const fn ttl(mut self, on: bool) -> Self {
        self.ttl = on;
        self
    }

    /// How long after its usable time an entry is deleted, so that clocks may differ; five minutes unless set.
    pub const fn ttl_margin(mut self, margin: Duration) -> Self {
        self.ttl_margin = margin;
        self
    }

    /// How long a response may take from its lookup to its last byte to be stored, and so for how long removals are
    /// remembered; an hour unless set, at least ten seconds. The same for all who share the namespace.
    pub const fn fill_window(mut self, window: Duration) -> Self {
        self.fill_window = if window.as_secs() < 10 { Duration::from_secs(10) } else { window };
        self
    }

    /// How long a reply may take, 10 s unless set. The driver's own half second is too short for large values.
    pub const fn response_timeout(mut self, limit: Duration) -> Self {
        self.response_timeout = limit;
        self
    }

    /// How long connecting may take; 3 s unless set.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Connections to a server: one for heads, over which all requests are pipelined, and the others for large
    /// bodies, so that a hit does not wait behind them; 3 unless set. A cluster has one to each node.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = if connections == 0 { 1 } else { connections };
        self
    }

    /// Connecting fails when the server cannot be reached or refuses. Without it the storage is there at once, and
    /// its calls fail until the server is there too.
    pub const fn strict(mut self) -> Self {
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

    /// The user to tell the sentinels, who are not asked as the user in the URL.
    pub fn sentinel_username(mut self, username: impl Into<String>) -> Self {
        self.sentinel_username = Some(username.into());
        self
    }

    /// The password to tell the sentinels.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }

    /// What scripts are told: milliseconds after the usable time, or -1 for no expiry.
    pub(super) fn margin(&self) -> i64 {
        if self.ttl { i64::try_from(self.ttl_margin.as_millis()).unwrap_or(i64::MAX) } else { -1 }
    }

    pub(super) fn window_millis(&self) -> i64 {
        i64::try_from(self.fill_window.as_millis()).unwrap_or(i64::MAX)
    }
}
