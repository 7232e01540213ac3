//! What can be chosen, by methods or in a URL.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use super::DynamoStorage;
use super::error::{NAME, invalid};
use crate::storage::StorageError;
use crate::storage::kit::options::{HIDDEN, impossible, in_range, longer_than_nothing};
use crate::storage::url::{Options as UrlOptions, Schemes, opened};

/// DynamoDB's limit for one item is 400 KiB, names included.
const MAX_INLINE: usize = 350 * 1024;
const CHUNK_SIZES: RangeInclusive<usize> = 1024..=384 * 1024;
const MAX_NAMESPACE: usize = 128;
/// What is longer says "never", and [`ttl(false)`](DynamoStorageBuilder::ttl) says it better.
const MAX_MARGIN: Duration = Duration::from_secs(3650 * 24 * 3600);

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
pub struct DynamoStorageBuilder {
    pub(super) source: Source,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) strict: bool,
    pub(super) options: Options,
}

/// Where the client comes from.
#[derive(Clone)]
pub(super) enum Source {
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
impl fmt::Debug for DynamoStorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Environment => "environment",
            Source::Config(_) => "config",
            Source::Client(_) => "client",
        };
        f.debug_struct("DynamoStorageBuilder")
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
        // A URL with a user in place of the table counts as the table's name until it is checked.
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

impl DynamoStorageBuilder {
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

    /// Separates caches that share a table. 1 to 128 letters, digits and `-_.:`. Default: `larder`.
    pub fn namespace<T: Into<String>>(mut self, namespace: T) -> Self {
        self.options.namespace = namespace.into();
        self
    }

    /// The region. Default: that of the environment (`AWS_REGION`, profile, instance).
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

    /// Whether a missing table is created (on-demand capacity, TTL enabled). Default: `false`.
    pub fn create_table(mut self, create: bool) -> Self {
        self.options.create_table = create;
        self
    }

    /// Up to this many bytes a body is kept in the item of its head, so that a hit is one round trip. At most 350 KiB.
    /// Default: 64 KiB.
    ///
    /// A lookup pays for reading the inline bodies of all variants, a freshening for writing that of one.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.options.inline_threshold = bytes;
        self
    }

    /// The size of the chunks of longer bodies, in bytes: 1 KiB to 384 KiB. Each is an item. Default: 255 KiB; DynamoDB
    /// gives a megabyte at a time, and four items of 256 KiB are a little more than that.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.options.chunk_size = bytes;
        self
    }

    /// The longest body that is stored, in bytes. Default: no limit.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.options.max_body = Some(bytes);
        self
    }

    /// How many variants are kept under one key: 1 to 64. Default: 32.
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.options.max_variants = variants;
        self
    }

    /// Whether items carry the time at which DynamoDB may delete them. Default: `true`.
    pub fn ttl(mut self, ttl: bool) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// How long after its usable time DynamoDB may delete a response, so that clocks may differ. At most 3650 days.
    /// Default: 1 hour.
    pub fn ttl_margin(mut self, margin: Duration) -> Self {
        self.options.ttl_margin = margin;
        self
    }

    /// Whether lookups see every write that came before them. Default: `true`. Without it reads cost half, and what was
    /// removed can still be found for about a second.
    pub fn consistent_reads(mut self, consistent: bool) -> Self {
        self.options.consistent_reads = consistent;
        self
    }

    /// How long connecting may take. Not 0. Default: 3 seconds.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one call may take, its retries included. Not 0. Default: 15 seconds, enough for a megabyte on a slow line.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How often the driver tries a call that fails for a passing reason, with growing pauses: 1 to 100 times. Every call
    /// of this storage can be repeated without harm. Default: 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        let Options { table, namespace, .. } = &self.options;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if namespace.is_empty() || namespace.len() > MAX_NAMESPACE || !namespace.bytes().all(plain) {
            let possible = format!("1 to {MAX_NAMESPACE} letters, digits and `-_.:`");
            return Err(impossible(NAME, "namespace", HIDDEN, possible));
        }
        if !is_table(table) {
            return Err(impossible(NAME, "table", HIDDEN, "letters, digits and `-_.`, or an ARN"));
        }
        let Options { inline_threshold, chunk_size, max_variants, ttl_margin, .. } = self.options;
        in_range(NAME, "inline_threshold", inline_threshold, 0..=MAX_INLINE)?;
        in_range(NAME, "chunk_size", chunk_size, CHUNK_SIZES)?;
        in_range(NAME, "max_variants", max_variants, 1..=64)?;
        in_range(NAME, "ttl_margin", ttl_margin, Duration::ZERO..=MAX_MARGIN)?;
        in_range(NAME, "attempts", self.attempts, 1..=100)?;
        longer_than_nothing(NAME, "timeout", self.timeout)?;
        longer_than_nothing(NAME, "connect_timeout", self.connect_timeout)
    }
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
pub(super) fn without_userinfo(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let behind = rest.rsplit('@').next().unwrap_or_default();
            let host = behind.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        None => "its endpoint".to_owned(),
    }
}

/// The builder that a URL describes: `dynamodb://table?region=...`.
///
/// # Errors
///
/// When it names no table, or an option that there is not.
pub(super) fn from_url(url: &str) -> Result<DynamoStorageBuilder, StorageError> {
    let rest = url.strip_prefix("dynamodb:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    let Some(rest) = rest else {
        return Err(invalid("opening a storage: its URL begins with `dynamodb://`".to_owned()));
    };
    let (table, query) = rest.split_once('?').unwrap_or((rest, ""));
    let table = table.strip_suffix('/').unwrap_or(table);
    let mut options = UrlOptions::parse("dynamodb", query)?;
    let builder = DynamoStorageBuilder::new(table.to_owned());
    let builder = options.set(builder, "namespace", DynamoStorageBuilder::namespace::<String>)?;
    let builder = options.set(builder, "region", DynamoStorageBuilder::region::<String>)?;
    let builder = options.set(builder, "endpoint", DynamoStorageBuilder::endpoint::<String>)?;
    let builder = options.set(builder, "create_table", DynamoStorageBuilder::create_table)?;
    let builder = options.set(builder, "inline_threshold", DynamoStorageBuilder::inline_threshold)?;
    let builder = options.set(builder, "chunk_size", DynamoStorageBuilder::chunk_size)?;
    let builder = options.set(builder, "max_body", DynamoStorageBuilder::max_body)?;
    let builder = options.set(builder, "max_variants", DynamoStorageBuilder::max_variants)?;
    let builder = options.set(builder, "ttl", DynamoStorageBuilder::ttl)?;
    let builder = options.set::<_, Duration>(builder, "ttl_margin", DynamoStorageBuilder::ttl_margin)?;
    let builder = options.set(builder, "consistent_reads", DynamoStorageBuilder::consistent_reads)?;
    let builder = options.set(builder, "connect_timeout", DynamoStorageBuilder::connect_timeout)?;
    let builder = options.set(builder, "timeout", DynamoStorageBuilder::timeout)?;
    let builder = options.set(builder, "attempts", DynamoStorageBuilder::attempts)?;
    let strict = |builder: DynamoStorageBuilder, strict| if strict { builder.strict() } else { builder };
    let builder = options.set(builder, "strict", strict)?;
    options.finish()?;
    Ok(builder)
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
