//! Stored responses in Redis or Valkey.
//!
//! [`RedisStorage`] keeps a cache on a server that many processes and machines share: one server, a cluster, or the
//! primary that sentinels watch over, with or without TLS. It runs by the same code on Redis from version 6 and on
//! Valkey from version 7.2; nothing in it is peculiar to one of them.
//!
//! ```no_run
//! # async fn open() -> Result<(), larder::storage::StorageError> {
//! use larder::storage::RedisStorage;
//!
//! let storage = RedisStorage::connect("redis://127.0.0.1:6379/").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When to choose it
//!
//! When several machines shall share one cache, answers shall come within a millisecond, and the cache fits into the
//! server's memory. For one machine, SQLite or files need no server and hold more.
//!
//! # Layout
//!
//! All keys begin with the [namespace](RedisBuilder::namespace); what stands between braces decides the slot of a
//! cluster.
//!
//! | key | value |
//! |---|---|
//! | `larder:{DIGEST}` | a hash: heads, small bodies, alias and fence of one cache key; `DIGEST` is its BLAKE3 |
//! | `larder:{DIGEST}:c:ID:N` | chunk `N` of the body `ID`, behind its checksum |
//! | `larder:{larder:marks}` | a hash: version of this layout, generations, count of invalidations |
//! | `larder:{larder:marks}:groups` | a hash: number of the last invalidation of the groups of each slot |
//!
//! A lookup is one round trip: `HGETALL` of the record and `HGET` of the marks in one pipeline (on a cluster at the
//! same time to two nodes). Lookups that come while others are under way go together, up to 32 in one pipeline that
//! reads the marks once. A second round trip is needed only for what was stored before the last invalidation, of whatever
//! groups. A larger body costs a round trip per four chunks. An invalidation is one round trip after another that reads
//! the marks, however many groups it has.
//! Storing is one round trip before the body, one for each chunk and one to publish. What must be atomic is
//! done by small scripts on one slot, called by their hash.
//!
//! # What removals guarantee
//!
//! Removing a key and publishing under it are atomic on the server: a fill from before the removal is refused, by
//! whomever it is made, for the whole of the [fill window](RedisBuilder::fill_window); a fill that takes longer
//! is refused in any case. Clearing starts a new generation: what was stored before is not found from that moment on,
//! on no node of a cluster, and what a fill under way still writes is not found either.
//!
//! Two things weaken this, and both are the server's doing. A replica that is promoted may lack the last writes,
//! removals among them. And a server that evicts may forget a removal within the time between a lookup and the
//! response's head: that takes a policy that evicts what was written moments ago.
//!
//! # Eviction and limits
//!
//! The cache sets no limit of its own to what it stores: `maxmemory` and `maxmemory-policy allkeys-lru` (or
//! `allkeys-lfu`) do. Any key may go at any time; what is not whole is a miss or, in the middle of a body, an error.
//! Where the marks go, everything is a miss once. They are read with every lookup, so that LRU and LFU keep them. With
//! `noeviction` and no memory left, storing fails with [`Full`](StorageErrorKind::Full) and hits go on.
//!
//! The numbers of invalidated groups are kept in 65536 slots, at most some 6 MB; groups whose ids fall into one slot are
//! invalidated together. Where they are evicted, everything stored before is validated once. Every lookup reads the
//! marks, so one node of a cluster serves a small read for each. Listing and counting scan the namespace
//! with `SCAN`, never `KEYS`.
//!
//! # Expiry
//!
//! Record and chunks expire [a margin](RedisBuilder::ttl_margin) after the last of the record's entries is of any
//! use, stale uses included; [`ttl(false)`](RedisBuilder::ttl) leaves that to [`maintain`](Storage::maintain) and to
//! eviction. What dead writers leave expires after the fill window. Usable times are those of the clients: a server
//! whose clock differs by more than the margin deletes responses too early or too late, but is never the reason for a
//! wrong answer. Removals are remembered by the server's clock alone.
//!
//! # Connections
//!
//! Connections are kept, shared and made anew by the driver. Reads are asked for once more when the connection turns
//! out to be broken, writes are not. While the server is away, calls fail at once with
//! [`Unavailable`](StorageErrorKind::Unavailable) or after the timeout with [`Timeout`](StorageErrorKind::Timeout).
//! With ACLs the user needs `~larder:*` and
//! `+hgetall +hmget +hget +hset +hsetnx +hdel +hkeys +hexists +mget +set +unlink +del +exists +type +expire
//! +hincrby +pexpire +pexpireat +persist +pttl +scan +time +eval +evalsha +ping`, on clusters `+cluster|slots`. A user that may only
//! read gets hits, and stores nothing.

mod body;
mod call;
mod connect;
mod error;
mod fence;
mod link;
mod listing;
mod lookups;
mod marks;
mod names;
mod options;
mod record;
mod scripts;
mod upkeep;

pub use body::{RedisReader, RedisWriter};
pub(crate) use connect::is_scheme;
pub use options::RedisBuilder;
use options::from_url;

use std::fmt;
use std::sync::{Arc, Mutex};

use redis::{RedisError, RedisResult, Value};

use self::body::End;
use self::call::{Call, Calls};
use self::error::error;
use self::link::{Lane, Link, array, bytes};
use self::listing::Ahead;
use self::lookups::{Lookups, Reply};
use self::marks::Marks;
use self::names::Names;
use self::record::{ALIAS, Meta, Record, Variant, measured};
use super::kit::check_head;
use super::open::{Options, check_credentials};
use super::{
    Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, StorageError, StorageErrorKind,
    Usage,
};
use crate::clock::Timestamp;
use crate::entry::codec::{self, DecodeError};
use crate::entry::{Alias, EntryId, GroupId, StoredHead, StoredResponse};
use crate::key::CacheKey;
use crate::random;

const NAME: &str = "redis";
/// No body is kept with its head beyond this length, whatever is set.
const MAX_INLINE: usize = 16 * 1024 * 1024;

/// A [`Storage`] in Redis or Valkey. See the [module](self).
///
/// Clones share connections.
#[derive(Clone)]
pub struct RedisStorage {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    names: Names,
    options: RedisBuilder,
    lookups: Lookups,
    ahead: Mutex<Ahead>,
}

impl fmt::Debug for RedisStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStorage").field("at", &self.inner.link).finish_non_exhaustive()
    }
}

impl From<Inner> for RedisStorage {
    fn from(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }
}

impl RedisStorage {
    /// The storage that a URL names: one of those of [`RedisBuilder::connect`], with options named as the
    /// [builder's](RedisBuilder) methods as its query: `redis://host/0?namespace=shop&strict=true`.
    ///
    /// # Errors
    ///
    /// When URL or options make no sense. A server that cannot be reached is no error, unless `strict`: calls fail
    /// until it can.
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        check_credentials(NAME, url)?;
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        from_url(place, Options::parse(NAME, query)?).await
    }

    /// Sets up a storage.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Asks the server whether all is well.
    async fn check(&self) -> Result<(), StorageError> {
        self.inner.marks_made("connecting").await.map(drop)
    }
}

impl Storage for RedisStorage {
    type Writer = RedisWriter;
    type Reader = RedisReader;

    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body(&self) -> u64 {
        self.inner.options.max_body
    }

    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        self.inner.lookup(key).await
    }

    async fn open(&self, head: &StoredHead) -> Result<RedisReader, StorageError> {
        body::open(&self.inner, head).await
    }

    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<RedisWriter, StorageError> {
        check_head(NAME, &head)?;
        body::begin(&self.inner, head, fence).await
    }

    async fn freshen(&self, head: StoredHead, _fence: Fence) -> Result<bool, StorageError> {
        // What is removed is gone with its id, and what is cleared with its generation: neither comes back.
        check_head(NAME, &head)?;
        self.inner.freshen(head).await
    }

    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        check_head(NAME, &alias.response.head)?;
        self.inner.put_alias(alias, fence).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        self.inner.remove(key).await
    }

    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        self.inner.remove_entry(&self.inner.names.record(key), id).await
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        self.inner.invalidate(groups).await
    }

    async fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredHead>, StorageError> {
        self.inner.list_responses(after, limit).await
    }

    async fn aliases(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<Alias>, StorageError> {
        self.inner.list_aliases(after, limit).await
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.inner.usage().await
    }

    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        self.inner.clear(keyspace).await
    }

    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        self.inner.maintain(now).await
    }
}

/// A key that holds something else than a hash holds nothing of ours.
fn unless_foreign(reply: RedisResult<Value>) -> RedisResult<Value> {
    match reply {
        Err(cause) if is_foreign(&cause) => Ok(Value::Nil),
        reply => reply,
    }
}

fn is_foreign(cause: &RedisError) -> bool {
    cause.code() == Some("WRONGTYPE")
}

impl Inner {
    async fn ask(
        &self,
        action: &str,
        lane: Lane,
        reads: bool,
        call: impl Into<Call>,
    ) -> Result<Value, StorageError> {
        self.link.ask(action, lane, reads, call).await
    }

    async fn ask_all(
        &self,
        action: &str,
        lane: Lane,
        reads: bool,
        calls: Calls,
    ) -> Result<Vec<Value>, StorageError> {
        self.link.ask_all(action, lane, reads, calls).await
    }

    async fn lookup(self: &Arc<Self>, key: &CacheKey) -> Result<Lookup, StorageError> {
        let action = "looking up";
        let Reply { record, marks } = self.read(key).await;
        let record = unless_foreign(record).map_err(|cause| self.link.error(action, cause))?;
        let marks = marks.as_ref().as_ref().map_err(|cause| self.link.error(action, cause.clone()))?;
        let Some(marks) = Marks::from_reply(marks, &self.names)? else { return self.first_lookup().await };
        let record = Record::from_reply(record);
        let as_of = marks.invalidations;
        let mut found = Lookup { fence: fence::fence(&marks, &record.fence), as_of, ..Lookup::default() };
        let mut garbage = record.garbage > 0;
        for variant in record.variants.iter().filter(|variant| variant.meta.generation == marks.responses) {
            match variant.response(key) {
                Ok((head, body)) => {
                    let head = Arc::new(head);
                    found.responses.push(StoredResponse { head, body, invalidated: false });
                }
                Err(DecodeError::Version(_)) => {}
                Err(_) => garbage = true,
            }
        }
        let mut alias = None;
        match record.alias(marks.aliases) {
            Some(Ok(stored)) if stored.response.head.key == *key => alias = Some(stored),
            None | Some(Err(DecodeError::Version(_))) => {}
            Some(_) => garbage = true,
        }
        self.mark_invalidated(&marks, &mut found.responses, alias.as_mut()).await?;
        found.alias = alias.map(Arc::new);
        if garbage {
            self.remove_garbage(key, &record, &marks).await;
        }
        Ok(found)
    }

    /// Makes the marks. Who may not write looks up nothing, and stores nothing.
    async fn first_lookup(&self) -> Result<Lookup, StorageError> {
        let (fence, as_of) = match self.marks_made("looking up").await {
            Ok(marks) => (fence::fence(&marks, &[]), marks.invalidations),
            Err(refused) if refused.kind() == StorageErrorKind::Incompatible => return Err(refused),
            Err(_) => (fence::NEVER, 0),
        };
        Ok(Lookup { fence, as_of, ..Lookup::default() })
    }

    /// Asks for the groups' numbers only where something was invalidated since, and for all heads at once.
    async fn mark_invalidated(
        &self,
        marks: &Marks,
        responses: &mut [StoredResponse],
        alias: Option<&mut Alias>,
    ) -> Result<(), StorageError> {
        let mut open = Vec::new();
        for response in responses.iter_mut().chain(alias.map(|alias| &mut alias.response)) {
            match marks.invalidated(&response.head) {
                Some(invalidated) => response.invalidated = invalidated,
                None => open.push(response),
            }
        }
        let calls: Calls =
            open.iter().map(|response| Marks::ask_groups(&self.names, &response.head)).collect();
        let replies = self.ask_all("asking for groups", Lane::Heads, true, calls).await?;
        for (response, reply) in open.into_iter().zip(replies) {
            response.invalidated = marks.invalidated_by(reply, &response.head);
        }
        Ok(())
    }

    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        if groups.is_empty() {
            return Ok(());
        }
        let action = "invalidating";
        self.marks_made(action).await?;
        let mark = format!("{:016x}", random::bits64());
        let fields: Vec<_> = groups.iter().map(|group| marks::group_field(*group)).collect();
        let arguments: Vec<_> = std::iter::once(&mark).chain(&fields).map(String::as_bytes).collect();
        let call =
            Call::script(&scripts::INVALIDATE, &[&self.names.marks(), &self.names.groups()], &arguments);
        self.ask(action, Lane::Heads, false, call).await.map(drop)
    }

    /// Entries that do not decode only take room. Where they cannot be removed they are skipped again.
    async fn remove_garbage(&self, key: &CacheKey, record: &Record, marks: &Marks) {
        let is_garbage = |variant: &&Variant| matches!(variant.response(key), Err(error) if !matches!(error, DecodeError::Version(_)));
        let mut ids: Vec<_> =
            record.variants.iter().filter(is_garbage).map(|variant| variant.meta.id).collect();
        let alias = record.alias(marks.aliases);
        if alias.is_some_and(|alias| match alias {
            Ok(alias) => alias.response.head.key != *key,
            Err(error) => !matches!(error, DecodeError::Version(_)),
        }) {
            ids.extend(record.alias_meta().map(|meta| meta.id));
        }
        let name = self.names.record(key);
        for id in ids {
            if self.remove_entry(&name, id).await.is_err() {
                return;
            }
        }
    }

    async fn freshen(&self, head: StoredHead) -> Result<bool, StorageError> {
        if head.body.is_none() {
            return Err(error(
                StorageErrorKind::Invalid,
                "freshening with a head that does not know its body",
            ));
        }
        let record = self.names.record(&head.key);
        let encoded = codec::encode(&head);
        if encoded.len() > codec::MAX_HEAD_LEN {
            return Err(error(StorageErrorKind::TooLarge, "storing a head over the limit"));
        }
        let meta = Meta::new(0, &head, encoded.len(), 0);
        let script = Call::script(
            &scripts::FRESHEN,
            &[&record],
            &[
                head.id.to_string().as_bytes(),
                meta.middle().as_bytes(),
                meta.tail().as_bytes(),
                &measured(&encoded),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
            ],
        );
        let mut replies = self
            .ask_all("freshening", Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let before = replies.next().and_then(bytes).and_then(|meta| Meta::decode(&meta));
        let marks = Marks::from_reply(&replies.next().unwrap_or(Value::Nil), &self.names)?;
        let Some((before, marks)) = before.zip(marks) else { return Ok(false) };
        if before.generation != marks.responses {
            return Ok(false);
        }
        if before.usable_until != meta.usable_until {
            self.keep_chunks(&record, head.id, before.chunks, meta.usable_until).await?;
        }
        Ok(true)
    }

    async fn put_alias(&self, mut alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        let record = self.names.record(&alias.response.head.key);
        let Some(permit) = self.permit(&record, fence).await? else { return Ok(Published::Superseded) };
        let as_of = permit.as_of(&alias.response.head);
        Arc::make_mut(&mut alias.response.head).as_of = as_of;
        let Some(value) = codec::encode_alias(&alias) else {
            return Err(error(StorageErrorKind::Invalid, "storing an alias whose body did not come with it"));
        };
        let meta = Meta::new(permit.marks.aliases, &alias.response.head, value.len(), 0);
        let script = Call::script(
            &scripts::PUT_ALIAS,
            &[&record],
            &[
                &permit.fence,
                &permit.token,
                &[meta.encode().as_bytes(), &value].concat(),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
                ALIAS.as_bytes(),
            ],
        );
        let mut replies = self
            .ask_all("storing an alias", Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let stored = matches!(replies.next(), Some(Value::Int(1)))
            && self.still_in(&permit, replies.next(), |marks| marks.aliases)?;
        Ok(if stored { Published::Stored } else { Published::Superseded })
    }

    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let record = self.names.record(key);
        let window = self.options.window_millis();
        let fence = format!("{:016x}", random::bits64());
        let script =
            Call::script(&scripts::REMOVE, &[&record], &[fence.as_bytes(), window.to_string().as_bytes()]);
        self.removed(&record, "removing", script).await
    }

    async fn remove_entry(&self, record: &str, id: EntryId) -> Result<bool, StorageError> {
        let script = Call::script(
            &scripts::REMOVE_ENTRY,
            &[record],
            &[
                id.to_string().as_bytes(),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
            ],
        );
        self.removed(record, "removing an entry", script).await
    }

    /// Runs a script that returns metas of what it removed, and says whether any of that could be seen.
    async fn removed(&self, record: &str, action: &str, script: Call) -> Result<bool, StorageError> {
        let mut replies = self
            .ask_all(action, Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let metas: Vec<_> = match replies.next() {
            Some(one @ Value::BulkString(_)) => vec![one],
            Some(several) => array(several),
            None => Vec::new(),
        };
        let gone: Vec<_> =
            metas.into_iter().filter_map(bytes).filter_map(|meta| Meta::decode(&meta)).collect();
        let marks = Marks::from_reply(&replies.next().unwrap_or(Value::Nil), &self.names)?;
        let seen = marks.is_some_and(|marks| {
            gone.iter().any(|meta| meta.generation == marks.responses || meta.generation == marks.aliases)
        });
        self.end_chunks(record, gone, End::Now).await;
        Ok(seen)
    }
}
