//! What can be chosen, and how a handle is made of it.

use std::fmt;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder as ClientConfig, Region, StalledStreamProtectionConfig};

use super::error::NAME;
use super::{DynamoStorage, http};
use crate::storage::url::{Schemes, opened};
use crate::storage::{StorageError, StorageErrorKind};

/// DynamoDB's limit for one item is 400 KiB, names included.
const MAX_INLINE: usize = 350 * 1024;
const CHUNKS: std::ops::RangeInclusive<usize> = 1024..=384 * 1024;
const MAX_NAMESPACE: usize = 128;

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("dynamodb", "dynamodb://table?region=eu-central-1")],
    open: |url| Box::pin(async move { opened(DynamoStorage::connect(url.whole).await) }),
};

/// Options of a [`DynamoStorage`]. Every one has a default.
///
/// ```no_run
/// # async fn connect() -> Result<(), larder::storage::StorageError> {
/// use larder::storage::DynamoStorage;
///
/// let storage = DynamoStorage::builder("http-cache").region("eu-central-1").namespace("crawler").connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect` is called"]
pub struct DynamoBuilder {
    source: Source,
    region: Option<String>,
    endpoint: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    attempts: u32,
    strict: bool,
    pub(super) options: Options,
}

/// Where the client comes from.
#[derive(Clone)]
enum Source {
    Environment,
    Config(Box<SdkConfig>),
    Client(Client),
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) table: String,
    pub(super) namespace: String,
    pub(super) create_table: bool,
    pub(super) inline_threshold: usize,
    pub(super) chunk_size: usize,
    pub(super) max_body: Option<u64>,
    pub(super) max_variants: usize,
    pub(super) ttl: bool,
    pub(super) ttl_margin: Duration,
    pub(super) consistent_reads: bool,
}

/// A configuration or client can have credentials in it: only what it is is shown.
impl fmt::Debug for DynamoBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Environment => "environment",
            Source::Config(_) => "config",
            Source::Client(_) => "client",
        };
        f.debug_struct("DynamoBuilder")
            .field("source", &source)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint.as_deref().map(without_userinfo))
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .field("strict", &self.strict)
            .field("options", &self.options)
            .finish()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL with a user where its table is to be is taken for a table's name, until it is checked.
        let table = if is_table(&self.table) { self.table.as_str() } else { "not well-formed" };
        f.debug_struct("Options")
            .field("table", &table)
            .field("namespace", &self.namespace)
            .field("create_table", &self.create_table)
            .field("inline_threshold", &self.inline_threshold)
            .field("chunk_size", &self.chunk_size)
            .field("max_body", &self.max_body)
            .field("max_variants", &self.max_variants)
            .field("ttl", &self.ttl)
            .field("ttl_margin", &self.ttl_margin)
            .field("consistent_reads", &self.consistent_reads)
            .finish()
    }
}

impl DynamoBuilder {
    pub(super) fn new(table: String) -> Self {
        Self {
            source: Source::Environment,
            region: None,
            endpoint: None,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(15),
            attempts: 3,
            strict: false,
            options: Options {
                table,
                namespace: "larder".to_owned(),
                create_table: false,
                inline_threshold: 64 * 1024,
                chunk_size: 255 * 1024,
                max_body: None,
                max_variants: 32,
                ttl: true,
                ttl_margin: Duration::from_secs(3600),
                consistent_reads: true,
            },
        }
    }

    /// Separates caches that share a table: 1 to 128 letters, digits and `-_.:`. `larder` unless set.
    pub fn namespace<T: Into<String>>(mut self, namespace: T) -> Self {
        self.options.namespace = namespace.into();
        self
    }

    /// The region. Unless set, that of the environment (`AWS_REGION`, profile, instance).
    pub fn region<T: Into<String>>(mut self, region: T) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The server's address, where it is not that of the region: DynamoDB local, a VPC endpoint.
    pub fn endpoint<T: Into<String>>(mut self, url: T) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// A configuration of your own, in place of the environment's. [`region`](Self::region) and
    /// [`endpoint`](Self::endpoint) still override; timeouts and retries are the configuration's.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.source = Source::Config(Box::new(config));
        self
    }

    /// A client of your own: its region, endpoint, timeouts and retries are used as they are.
    pub fn client(mut self, client: Client) -> Self {
        self.source = Source::Client(client);
        self
    }

    /// Makes [`connect`](Self::connect) fail when the table cannot be used right now. Otherwise the storage answers with
    /// errors, each a miss to the layer, until the table can be used.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Whether a missing table is created (on-demand capacity, TTL enabled). Off unless set.
    pub fn create_table(mut self, create: bool) -> Self {
        self.options.create_table = create;
        self
    }

    /// Up to this length a body is kept in the item of its head, and comes with it in one round trip: 64 KiB unless
    /// set, at most 350 KiB.
    ///
    /// A lookup pays for reading the inline bodies of all variants, a freshening for writing that of one.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.options.inline_threshold = bytes.min(MAX_INLINE);
        self
    }

    /// Longer bodies are cut into items of this size: 255 KiB unless set, from 1 KiB to 384 KiB. DynamoDB gives a
    /// megabyte at a time, and four items of 256 KiB are a little more than that.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.options.chunk_size = bytes.clamp(*CHUNKS.start(), *CHUNKS.end());
        self
    }

    /// The longest body that is taken. Unlimited unless set.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = Some(bytes);
        self
    }

    /// How many variants are kept under one key: 32 unless set, at least 1 and at most 64.
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.options.max_variants = variants.clamp(1, 64);
        self
    }

    /// Whether items carry the time at which DynamoDB may delete them. On unless switched off.
    pub fn ttl(mut self, ttl: bool) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// How long after its usable time a response may be deleted by DynamoDB, against clocks that differ: an hour
    /// unless set.
    pub fn ttl_margin(mut self, margin: Duration) -> Self {
        self.options.ttl_margin = margin;
        self
    }

    /// Whether lookups see every write that came before them. On unless switched off: reads then cost half, and what
    /// was removed can still be found for about a second.
    pub fn consistent_reads(mut self, consistent: bool) -> Self {
        self.options.consistent_reads = consistent;
        self
    }

    /// How long making a connection may take: 3 s unless set.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one call may take, its retries included: 15 s unless set, enough for a megabyte on a slow line.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How often the driver tries a call that fails for a passing reason: 3 times unless set, with growing pauses.
    /// Every call of this storage can be repeated without harm.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Makes the storage. Without [`strict`](Self::strict) nothing is asked of the server yet.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] for a namespace, table name or region that cannot be. If strict also what keeps
    /// the table from being used: [`Unavailable`](StorageErrorKind::Unavailable),
    /// [`Timeout`](StorageErrorKind::Timeout), [`Denied`](StorageErrorKind::Denied),
    /// [`Incompatible`](StorageErrorKind::Incompatible).
    pub async fn connect(self) -> Result<DynamoStorage, StorageError> {
        self.check()?;
        let (client, place) = self.client_and_place().await?;
        let storage = DynamoStorage::new(client, place, self.options);
        if self.strict {
            storage.ready().await?;
        }
        Ok(storage)
    }

    fn check(&self) -> Result<(), StorageError> {
        let Options { table, namespace, .. } = &self.options;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if namespace.is_empty() || namespace.len() > MAX_NAMESPACE || !namespace.bytes().all(plain) {
            return Err(invalid(format!(
                "the namespace: 1 to {MAX_NAMESPACE} letters, digits and -_.: are possible"
            )));
        }
        if !is_table(table) {
            return Err(invalid(
                "the table name: letters, digits and -_. are possible, or an ARN".to_owned(),
            ));
        }
        Ok(())
    }

    async fn client_and_place(&self) -> Result<(Client, String), StorageError> {
        let table = &self.options.table;
        let config = match &self.source {
            Source::Client(client) => {
                let region = client.config().region().map_or("unknown", Region::as_ref);
                return Ok((client.clone(), format!("table {table} ({region})")));
            }
            Source::Config(config) => SdkConfig::clone(config),
            Source::Environment => self.environment().await,
        };
        let mut builder = ClientConfig::from(&config);
        let region = self.region.clone().map(Region::new).or_else(|| config.region().cloned());
        let endpoint = self.endpoint.as_deref().or_else(|| config.endpoint_url());
        if endpoint.is_some_and(|endpoint| endpoint.contains('@')) {
            let why = "an endpoint has no user and password; credentials come from the environment or the configuration";
            return Err(invalid(why.to_owned()));
        }
        let place = match (endpoint, &region) {
            (Some(endpoint), _) => format!("table {table} at {}", without_userinfo(endpoint)),
            (None, Some(region)) => format!("table {table} ({region})"),
            (None, None) => {
                return Err(invalid("no region is set: name one, or set AWS_REGION".to_owned()));
            }
        };
        // A server that is not Amazon's takes any region, but a signature needs one.
        builder = builder.region(region.unwrap_or_else(|| Region::from_static("us-east-1")));
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Ok((Client::from_conf(builder.build()), place))
    }

    async fn environment(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_timeout(self.timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_secs(2));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http::client())
            .timeout_config(timeouts)
            .retry_config(retries)
            // It watches over streams; the calls of this service are short, and the timeouts bound them.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = self.region.clone() {
            loader = loader.region(Region::new(region));
        }
        loader.load().await
    }
}

pub(super) fn invalid(action: String) -> StorageError {
    StorageError::new(StorageErrorKind::Invalid, NAME, action)
}

/// Whether this can name a table. An ARN has colons and slashes, a name has not.
fn is_table(table: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let of_arn = |byte: u8| plain(byte) || b":/".contains(&byte);
    match table.strip_prefix("arn:") {
        Some(rest) => rest.bytes().all(of_arn),
        None => !table.is_empty() && table.bytes().all(plain),
    }
}

/// An endpoint without what may be a password, which may have slashes in it where it is not encoded.
fn without_userinfo(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let behind = rest.rsplit('@').next().unwrap_or_default();
            let host = behind.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        None => "its endpoint".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_show_no_passwords() {
        for (url, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("https://me:secret@db.example/x", "https://db.example"),
            ("https://me:se/cr?et@db.example/x", "https://db.example"),
            ("nonsense", "its endpoint"),
        ] {
            assert_eq!(without_userinfo(url), expected);
        }
    }
}
