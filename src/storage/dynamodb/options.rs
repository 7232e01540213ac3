//! What can be chosen, by methods or in a URL.

use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use super::DynamoStorage;
use super::error::invalid;
use crate::storage::StorageError;
use crate::storage::url::{Options as UrlOptions, Schemes, opened};

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

    pub(super) fn check(&self) -> Result<(), StorageError> {
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
