//! [`DynamoStorage`]: stored responses in one DynamoDB table. Its documentation says how.

mod calls;
mod chunks;
mod connect;
mod error;
mod fence;
mod groups;
mod heads;
mod http;
mod layout;
mod list;
mod lookup;
mod maintain;
mod options;
mod publish;
mod reader;
mod remove;
mod table;
mod transaction;
mod writer;

pub use options::DynamoStorageBuilder;
pub(crate) use options::SCHEMES;
pub use reader::DynamoReader;
pub use writer::DynamoWriter;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use aws_sdk_dynamodb::Client;
use tokio::sync::Mutex;

use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::kit::check_head;
use crate::storage::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, Usage,
};
use fence::Generations;
use groups::{Count, check_groups};
use layout::Keys;
use options::Options;

/// Stored responses in one DynamoDB table, both keyspaces, shared by any number of processes.
///
/// ```no_run
/// # async fn connect() -> Result<(), larder::storage::StorageError> {
/// use larder::storage::DynamoStorage;
///
/// let storage = DynamoStorage::builder("http-cache").create_table(true).connect().await?;
/// let local = DynamoStorage::builder("http-cache")
///     .region("eu-central-1")
///     .endpoint("http://127.0.0.1:8000")
///     .create_table(true)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// Credentials come from the standard chain: environment, profile files, web identity, container, instance. Two links of
/// it are features of `aws-config` that are off here to keep builds short: add `aws-config` with `sso` or
/// `credentials-process` to your own dependencies and they are part of the chain, or hand over a
/// [configuration](DynamoStorageBuilder::sdk_config) or [client](DynamoStorageBuilder::client) of your own.
///
/// # When to choose it
///
/// The program runs on AWS, many short-lived processes share one cache, and you do not want to run a server. A hit takes
/// one request of some milliseconds. Every request costs money, and large bodies cost much of it. Redis answers sooner,
/// SQLite needs no network at all.
///
/// # The table
///
/// Any number of caches share a table, each in a [namespace](DynamoStorageBuilder::namespace) of its own. With
/// [`create_table(true)`](DynamoStorageBuilder::create_table) a missing table is created like this; otherwise create it
/// yourself:
///
/// ```yaml
/// # CloudFormation
/// Resources:
///   HttpCache:
///     Type: AWS::DynamoDB::Table
///     Properties:
///       TableName: http-cache
///       BillingMode: PAY_PER_REQUEST
///       AttributeDefinitions:
///         - { AttributeName: pk, AttributeType: S }
///         - { AttributeName: sk, AttributeType: S }
///       KeySchema:
///         - { AttributeName: pk, KeyType: HASH }
///         - { AttributeName: sk, KeyType: RANGE }
///       TimeToLiveSpecification: { AttributeName: expires, Enabled: true }
/// ```
///
/// ```hcl
/// # Terraform
/// resource "aws_dynamodb_table" "http_cache" {
///   name         = "http-cache"
///   billing_mode = "PAY_PER_REQUEST"
///   hash_key     = "pk"
///   range_key    = "sk"
///   attribute {
///     name = "pk"
///     type = "S"
///   }
///   attribute {
///     name = "sk"
///     type = "S"
///   }
///   ttl {
///     attribute_name = "expires"
///     enabled        = true
///   }
/// }
/// ```
///
/// The smallest policy. The last three actions are needed only if the table is to be created:
///
/// ```json
/// {
///   "Version": "2012-10-17",
///   "Statement": [{
///     "Effect": "Allow",
///     "Action": [
///       "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem",
///       "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
///       "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTimeToLive"
///     ],
///     "Resource": "arn:aws:dynamodb:*:*:table/http-cache"
///   }]
/// }
/// ```
///
/// With only `dynamodb:BatchGetItem` and `dynamodb:Query` a cache can be read and not written.
///
/// # Layout
///
/// | `pk` | `sk` | holds |
/// |---|---|---|
/// | namespace `/` digest of the key | `head#` digest of the variant | a response: `head`, and `body` if it is small |
/// | the same | `alias#` version | a redirect alias: `entry` |
/// | the same | `fence` | when the key was last removed |
/// | the same | `~chunk#` id `#` number | a chunk of a larger body, with its checksum |
/// | namespace `/slot/` number | `only` | a slot of groups, at most 65536: the number of their last invalidation |
/// | namespace `/invalidations` | `only` | how many invalidations there were |
/// | namespace `/generation/` shard | `only` | when the namespace was last cleared |
/// | namespace `/schema` | `only` | the version of this layout |
///
/// A lookup is one query over the first three; chunks sort behind them and are not read. Beside the binary head,
/// responses and aliases have attributes for people and for filters of your own: `url`, `method`, `status`,
/// `content_type`, `length`, `request_time`, `response_time`, `usable_until` (milliseconds), `kind`, `target`.
///
/// Chunks are written first. The head is written last, in a transaction that checks that neither the key was removed nor
/// the namespace cleared since the lookup, and that what it replaces is what was seen.
///
/// # What a request costs
///
/// | | calls |
/// |---|---|
/// | a hit on a small body | 1 query and beside it 1 read; 1 more batch read if the response belongs to cache groups |
/// | a hit on a larger body | 1 query and beside it 1 read, and 1 query more for each MiB |
/// | storing | 1 query and 1 transaction; before it 1 batch write for each MiB beyond the inline threshold |
/// | freshening | 1 query and 1 update, priced by the size of the item |
/// | invalidating | 1 update, and 1 for each target URI and group, all of these at the same time |
/// | removing a key | 1 write, 1 query, 1 batch write |
/// | listing, `usage`, `clear`, `maintain` | a scan of the whole table, chunks included: seldom |
///
/// # Time to live
///
/// Each item has `expires`: the second at which its response stops being usable, plus the
/// [margin](DynamoStorageBuilder::ttl_margin). DynamoDB deletes it at no cost some time after, often within a day or two; until
/// then it can be found, and is not used. Chunks expire three days after their head, so that a freshening seldom has to
/// write them again. [`maintain`](Storage::maintain) does the same at once, and also sweeps chunks that never got a head;
/// a table with time to live enabled does not need it.
///
/// # Limits
///
/// * A head, or an alias with its body, fits into one item of 400 KiB; what does not is
///   [too large](crate::storage::StorageErrorKind::TooLarge) and not stored. Bodies have no limit unless one is
///   [set](DynamoStorageBuilder::max_body).
/// * A response of more than 500 cache groups is not stored.
/// * A fill of more than six hours can lose its first chunks to `maintain`, one of more than a day can miss a removal.
///   The clocks of the machines that share a table must agree within hours.
/// * After another process cleared the namespace, the next fill of a handle is refused; the handle learns of the clearing
///   by that.
/// * With [`consistent_reads(false)`](DynamoStorageBuilder::consistent_reads) reads cost half, and for about a second what was
///   removed or replaced can still be found.
/// * Throttling, after some retries, is [`Unavailable`](crate::storage::StorageErrorKind::Unavailable): a miss.
/// * The server needs transactions: DynamoDB, DynamoDB local and Dynoxide have them; Dynalite does not, and nothing can
///   be stored there.
///
/// # The driver
///
/// [`DynamoStorageBuilder`] takes types of the crates `aws-config` and `aws-sdk-dynamodb`, version 1. These major versions
/// are part of this crate's public API: a change to another one is a breaking change here.
///
/// # URL
///
/// `dynamodb://table?region=eu-central-1&endpoint=http://127.0.0.1:8000`; every option of the builder is a parameter of
/// the same name.
///
/// Clones share everything.
#[derive(Clone)]
pub struct DynamoStorage(Arc<Shared>);

struct Shared {
    client: Client,
    options: Options,
    keys: Keys,
    /// Table and server, for errors.
    place: String,
    ready: AtomicBool,
    preparing: Mutex<()>,
    generations: Generations,
    count: Count,
    /// The place of the last publication in the order of all.
    published: AtomicU64,
}

impl DynamoStorage {
    /// The storage that a URL describes: see [above](Self#url).
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::storage::StorageErrorKind::Invalid) for an option that makes no sense; with `strict=true` also
    /// as [`DynamoStorageBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        options::from_url(url)?.connect().await
    }

    /// Options for a storage in this table, named by name or ARN.
    pub fn builder(table: impl Into<String>) -> DynamoStorageBuilder {
        DynamoStorageBuilder::new(table.into())
    }

    fn new(client: Client, place: String, options: Options) -> Self {
        let keys = Keys::new(&options.namespace);
        Self(Arc::new(Shared {
            client,
            options,
            keys,
            place,
            ready: AtomicBool::new(false),
            preparing: Mutex::new(()),
            generations: Generations::default(),
            count: Count::default(),
            published: AtomicU64::new(0),
        }))
    }

    async fn ready(&self) -> Result<&Arc<Shared>, StorageError> {
        self.0.ready().await?;
        Ok(&self.0)
    }
}

impl Storage for DynamoStorage {
    type Writer = DynamoWriter;
    type Reader = DynamoReader;

    fn name(&self) -> &'static str {
        error::NAME
    }

    fn max_body(&self) -> u64 {
        self.0.options.max_body.unwrap_or(u64::MAX)
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.ready().await?.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<DynamoReader, StorageError> {
        reader::open(self.ready().await?, head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<DynamoWriter, StorageError> {
        check_head(error::NAME, &head)?;
        check_groups(&head)?;
        writer::begin(self.ready().await?, head, fence)
    }

    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        crate::storage::kit::check_freshened(error::NAME, &head)?;
        check_groups(&head)?;
        self.ready().await?.freshen(&head, fence).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(error::NAME, &alias.response.head)?;
        check_groups(&alias.response.head)?;
        self.ready().await?.publish_alias(&alias, fence).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        self.ready().await?.remove(key).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.ready().await?.remove_entry(key, id).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.ready().await?.invalidate(groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.ready().await?.responses(after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.ready().await?.aliases(after, limit).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.ready().await?.usage().await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.ready().await?.clear(keyspace).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.ready().await?.maintain(now).await
    }
}

impl fmt::Debug for DynamoStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStorage")
            .field("place", &self.0.place)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
