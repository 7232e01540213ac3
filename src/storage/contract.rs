//! The contract of a storage, in prose and as traits.
//!
//! A storage has two keyspaces. **Responses** maps a key to the stored responses (variants) under it.
//! **Aliases** maps a key to at most one alias. Heads and bodies are stored separately. A body is an
//! immutable sequence of bytes addressed by the head's [`EntryId`]. A head can be replaced without its body.
//!
//! An alias is a small response, with its body, and the key of its target. The cache stores three kinds of records as
//! aliases. A storage treats all of them alike:
//!
//! | kind | under the key of | target | what it holds |
//! |---|---|---|---|
//! | redirect | a request that was redirected | the key of the target | the 3xx response |
//! | path | a path, without query | a response with `No-Vary-Search` stored below that path | this field, no body |
//! | equivalent query | a URI as `No-Vary-Search` normalises it | the response that answers for it | this field, no body |
//!
//! * **Publication is atomic.** A response is visible to [`lookup`](Storage::lookup) only after
//!   [`publish`](BodyWriter::publish) succeeded, and then with its whole body. A writer that is
//!   [aborted](BodyWriter::abort), dropped or killed leaves nothing that can be read. The storage reclaims what it wrote,
//!   at the latest in [`maintain`](Storage::maintain).
//! * **Publication replaces** every stored response under the key whose
//!   [selecting fields](crate::entry::StoredHead::selecting) and [range](crate::entry::StoredHead::range)
//!   equal the new one's. Other variants stay, up to a limit of the storage. Beyond this limit the least
//!   recently published ones are removed.
//! * **Writers never mix.** Two writers of one key have two ids. A reader sees one whole body.
//! * **A removal refuses earlier fills.** Every lookup returns a [`Fence`]. A publication, alias or freshening that
//!   carries a fence from before a [`remove`](Storage::remove) or [`clear`](Storage::clear) that covers its key
//!   is refused with [`Published::Superseded`], in this process and in every other one that shares the data.
//!   A storage may refuse too often, but never too seldom.
//! * **No clock decides an invalidation.** The storage counts [invalidations](Storage::invalidate). Every lookup
//!   returns the count. Every response that is stored or freshened as a consequence of this lookup carries it
//!   ([`as_of`](crate::entry::StoredHead::as_of)). A response is invalidated if one of its
//!   [groups](crate::entry::StoredHead::group_ids) has a higher number. Several groups may share one number: a storage
//!   may mark too many responses as invalidated, but never too few.
//! * **Readers are safe.** An open reader returns the body it was opened for, to the end, or an error. It never returns
//!   other bytes or a short body. Bytes of a body are verified before they are returned.
//! * **Keys are compared whole.** A lookup never returns an entry of another canonical key, even if the hashes are equal.
//! * **Garbage is a miss.** Bytes that do not decode are not an error of [`lookup`](Storage::lookup). It skips the entry
//!   and should remove it.
//! * **Entries of other versions stay.** An entry that another version of a format wrote is a miss too, but it stays: two
//!   versions that share a storage must not erase each other's entries. No lookup, listing, publication or
//!   [`maintain`](Storage::maintain) removes it, except to keep a limit. [`remove`](Storage::remove) and
//!   [`clear`](Storage::clear) remove it.
//! * **An error concerns one call.** After an error the storage is as usable as before.
//! * **Expiry only saves space.** A storage may delete a response when its
//!   [`usable_until`](crate::entry::StoredHead::usable_until) has passed. The layer does not use it after that time.
//!
//! No method has a default implementation: a storage without one of them does not compile.
//! [`StorageExt`](super::StorageExt) adds convenience methods. The suite in `conformance` (feature `conformance`) checks
//! every sentence above.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::error::StorageError;
#[cfg(doc)]
use super::error::StorageErrorKind;
use crate::clock::Timestamp;
use crate::entry::{Alias, BodyEnd, EntryId, GroupId, StoredHead, StoredResponse};
use crate::key::CacheKey;

/// A place for stored responses. See the [module](self) for the contract in prose.
///
/// Write plain `async fn`s; every future must be [`Send`].
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Writes one body.
    type Writer: BodyWriter;
    /// Reads one body.
    type Reader: BodyReader;

    /// A short lower-case name of the backend for logs and errors: `sqlite`.
    fn name(&self) -> &'static str;

    /// The longest body that is accepted, in bytes; `u64::MAX` without a limit. This is a cheap call.
    fn max_body(&self) -> u64;

    /// Returns everything that is stored under `key`, in both keyspaces, in one round trip.
    ///
    /// Small bodies come with their heads. The most recently published response is the first.
    ///
    /// # Errors
    ///
    /// When the storage does not answer. Stored bytes, even damaged ones, are never an error.
    fn lookup(&self, key: &CacheKey) -> impl Future<Output = Result<Lookup, StorageError>> + Send;

    /// Opens the body of a head that a lookup returned with [`StoredBody::Streamed`](crate::entry::StoredBody).
    ///
    /// Opening a body that came inline works too.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Missing`] when the body no longer exists.
    fn open(&self, head: &StoredHead) -> impl Future<Output = Result<Self::Reader, StorageError>> + Send;

    /// Starts to store a response. Nothing is visible until the writer publishes it.
    ///
    /// `head.body` has the length of the body, if it is known; its checksum is not set yet.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] when the announced length is over the limit, or the head is too long to be read
    /// again.
    fn begin(
        &self,
        head: StoredHead,
        fence: Fence,
    ) -> impl Future<Output = Result<Self::Writer, StorageError>> + Send;

    /// Replaces the head of the response that is stored under `head.key` with the id `head.id`, and only that one.
    /// The body is not touched.
    ///
    /// Returns whether the head was replaced. It returns `false` if no response with this id is stored under the key, for
    /// example after a replacement, a [`remove`](Self::remove) or a [`clear`](Self::clear). With a fence from before a
    /// removal or clearing that covers the key, it never freshens a removed response. A storage may refuse such a fence
    /// without comparing the id.
    ///
    /// [`head.body`](StoredHead::body) is the value that the lookup returned.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] when `head.body` is `None`, [`StorageErrorKind::TooLarge`] when the head is too long to
    /// be read again. Otherwise when the storage does not answer.
    fn freshen(
        &self,
        head: StoredHead,
        fence: Fence,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Stores or replaces the alias under `alias.response.head.key`. The kinds of the two may differ.
    ///
    /// The alias contains its body: it is not [`Streamed`](crate::entry::StoredBody::Streamed).
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] without its body, [`StorageErrorKind::TooLarge`] when the head is too long to be read
    /// again. Otherwise when the storage does not answer.
    fn put_alias(
        &self,
        alias: Alias,
        fence: Fence,
    ) -> impl Future<Output = Result<Published, StorageError>> + Send;

    /// Removes everything under `key` in both keyspaces. Fills that are under way are refused.
    /// Returns whether there was an entry.
    ///
    /// # Errors
    ///
    /// When the storage does not answer.
    fn remove(&self, key: &CacheKey) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Removes the one response or alias stored under `key` with this id. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// When the storage does not answer.
    fn remove_entry(
        &self,
        key: &CacheKey,
        id: EntryId,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Invalidates groups. From now on, lookups mark a response as [invalidated](StoredResponse::invalidated) if it has
    /// one of these groups among its [group ids](StoredHead::group_ids) and was stored or freshened
    /// [as of](StoredHead::as_of) an earlier number. The cost does not depend on the number of members, and the storage
    /// bounds what it remembers. Every call of every process gets a number of its own. A lookup that begins after this
    /// call returned hands out this number or a higher one.
    ///
    /// # Errors
    ///
    /// When the storage does not answer. Some of the groups may be invalidated then.
    fn invalidate(&self, groups: &[GroupId]) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Returns one page of the heads of all stored responses, without bodies. The storage chooses the order.
    ///
    /// `after` is the [`next`](Page::next) of the previous page. `limit` is at least 1. Entries that are stored or removed
    /// during the listing may or may not appear. All others appear exactly once.
    ///
    /// # Errors
    ///
    /// When the storage does not answer, or the cursor is not its own.
    fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<StoredHead>, StorageError>> + Send;

    /// Returns one page of all aliases. Everything else is as for [`responses`](Self::responses).
    ///
    /// # Errors
    ///
    /// When the storage does not answer, or the cursor is not its own.
    fn aliases(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Alias>, StorageError>> + Send;

    /// Returns how much is stored.
    ///
    /// # Errors
    ///
    /// When the storage does not answer.
    fn usage(&self) -> impl Future<Output = Result<Usage, StorageError>> + Send;

    /// Removes everything in one keyspace, or in both. Fills that are under way are refused.
    /// It removes only entries that this cache wrote.
    ///
    /// # Errors
    ///
    /// When the storage does not answer. Some of the entries may be removed then.
    fn clear(&self, keyspace: Option<Keyspace>) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Reclaims space.
    ///
    /// It removes the responses and aliases whose [usable time](StoredHead::usable_until) has passed at `now`, and no other
    /// usable entry. It also removes bodies without a head and remains of dead writers, once they cannot belong to a
    /// running writer. A storage that several processes share may wait an hour or more before it treats a writer as dead.
    /// `now` may be any time; it decides even if the clock differs.
    ///
    /// # Errors
    ///
    /// When the storage does not answer.
    fn maintain(&self, now: Timestamp) -> impl Future<Output = Result<Maintained, StorageError>> + Send;
}

/// Writes one body and makes the response visible when it is complete.
///
/// Dropping a writer aborts it.
pub trait BodyWriter: Send + 'static {
    /// Appends to the body. `data` may have any length, also 0.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] when the body exceeds the limit. After an error the writer can only be aborted.
    fn write(&mut self, data: Bytes) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Publishes the response. Its body is what was written so far. `end` has what is known only at the end of the body:
    /// the trailer fields, and the range if the body was cut off.
    ///
    /// # Errors
    ///
    /// When the response could not be stored. It is then not visible. [`StorageErrorKind::TooLarge`] when the head with the
    /// trailer fields is too long to be read again.
    fn publish(self, end: BodyEnd) -> impl Future<Output = Result<Published, StorageError>> + Send;

    /// Gives up, and removes everything of the body.
    fn abort(self) -> impl Future<Output = ()> + Send;
}

/// Reads one body from its beginning to its end.
pub trait BodyReader: Send + 'static {
    /// Returns the next bytes, verified; `None` after exactly as many bytes as the head's [`BodySummary`] says.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Missing`] or [`StorageErrorKind::Corrupt`] when the rest of the body cannot be read.
    ///
    /// [`BodySummary`]: crate::entry::BodySummary
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, StorageError>> + Send;
}

/// What a lookup found.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// The stored responses under the key: its variants.
    pub responses: Vec<StoredResponse>,
    /// The alias under the key.
    pub alias: Option<Arc<Alias>>,
    /// Everything that is stored as a consequence of this lookup must carry this fence.
    pub fence: Fence,
    /// The number of invalidations that the storage counted before this lookup, or a lower number; never a higher one.
    /// Every response that is stored or freshened as a consequence of this lookup carries it as its head's
    /// [`as_of`](StoredHead::as_of).
    pub as_of: u64,
}

/// A storage's mark of the moment of a lookup. With it, a removal after the lookup wins over the fill of that lookup.
/// Only the storage can interpret the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// The result of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused publication is not an error, but nothing was stored"]
pub enum Published {
    /// The response is stored and visible.
    Stored,
    /// The key was removed or the storage was cleared since the lookup. Nothing was stored.
    Superseded,
}

/// One of a storage's two keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keyspace {
    /// Stored responses with their bodies.
    Responses,
    /// Redirect aliases.
    Aliases,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items of this page. A page can be empty even if it is not the last one.
    pub items: Vec<T>,
    /// Where the next page starts; `None` after the last one.
    pub next: Option<Cursor>,
}

/// A position in a listing. Only the storage can interpret it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Bytes);

/// How much a storage holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The number of stored responses, all variants counted.
    pub responses: u64,
    /// The number of aliases.
    pub aliases: u64,
    /// The bytes of heads and bodies, as the storage counts them.
    pub bytes: u64,
}

impl Usage {
    /// A usage of these counts.
    #[must_use]
    pub const fn new(responses: u64, aliases: u64, bytes: u64) -> Self {
        Self { responses, aliases, bytes }
    }
}

/// What [`Storage::maintain`] reclaimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// The number of responses and aliases whose usable time had passed.
    pub expired: u64,
    /// The number of bodies, chunks or files that belonged to no published response.
    pub orphans: u64,
}

impl Maintained {
    /// A report of these counts.
    #[must_use]
    pub const fn new(expired: u64, orphans: u64) -> Self {
        Self { expired, orphans }
    }
}
