//! The contract of a storage, in prose and as traits.
//!
//! A storage has two keyspaces. **Responses** maps a key to the stored responses (variants) under it;
//! **aliases** maps a key to at most one alias. Heads and bodies are kept apart: a body is an
//! immutable sequence of bytes addressed by the head's [`EntryId`], a head can be replaced alone.
//!
//! An alias is a small response, with its body, and the key that it leads to. The cache keeps three kinds of records as
//! aliases. A storage treats all of them alike:
//!
//! | kind | under the key of | leads to | what it holds |
//! |---|---|---|---|
//! | redirect | a request that was redirected | the key of the target | the 3xx response |
//! | path | a path, without query | a response with `No-Vary-Search` stored below that path | this field, no body |
//! | equivalent query | a URI as `No-Vary-Search` normalises it | the response that answers for it | this field, no body |
//!
//! * **Publication is atomic.** A response is visible to [`lookup`](Storage::lookup) only after
//!   [`publish`](BodyWriter::publish) succeeded, and then with its whole body. A writer that is
//!   [aborted](BodyWriter::abort), dropped or killed leaves nothing that can be read, and what it wrote is
//!   reclaimed at the latest by [`maintain`](Storage::maintain).
//! * **Publication replaces** every stored response under the key whose
//!   [selecting fields](crate::entry::StoredHead::selecting) and [range](crate::entry::StoredHead::range)
//!   equal the new one's. Other variants stay, up to a limit of the storage's own; beyond it the least
//!   recently published go.
//! * **Writers never mix.** Two writers of one key have two ids; a reader sees all of one body.
//! * **Removal fences off fills.** Every lookup hands out a [`Fence`]. A publication, alias or freshening that
//!   carries a fence from before a [`remove`](Storage::remove) or [`clear`](Storage::clear) that covers its key
//!   is refused with [`Published::Superseded`], in this process and in every other one that shares the data.
//!   Refusing too often is allowed, too seldom is not.
//! * **No clock decides an invalidation.** The storage counts [invalidations](Storage::invalidate). Every lookup hands
//!   out the count, whatever is stored or freshened as its consequence carries it
//!   ([`as_of`](crate::entry::StoredHead::as_of)), and a response is invalidated if one of its
//!   [groups](crate::entry::StoredHead::group_ids) has a higher number. Numbers of several groups may be kept as one:
//!   marking too much is allowed, too little is not.
//! * **Readers are safe.** An open reader yields the body it was opened for, to the end, or an error; never
//!   other bytes and never a short body. A piece of a body is verified before it is handed out.
//! * **Keys are compared whole.** What is stored under another canonical key, whatever its hash, is never returned.
//! * **Garbage is a miss.** Bytes that do not decode are no error of [`lookup`](Storage::lookup): the entry is
//!   skipped and should be removed.
//! * **Other versions are left alone.** What another version of a format wrote is a miss too, and stays: two versions
//!   that share a storage must not erase each other's entries. No lookup, listing, publication or
//!   [`maintain`](Storage::maintain) takes it away, except to keep a limit; [`remove`](Storage::remove) and
//!   [`clear`](Storage::clear) do.
//! * **Errors are errors of this call.** After an error the storage is as usable as before.
//! * **Expiry is a matter of space.** A storage may delete a response when its
//!   [`usable_until`](crate::entry::StoredHead::usable_until) has passed; the layer never uses it from then on.
//!
//! Nothing here has a default implementation: a storage that forgets a method does not compile. Convenience
//! built from the contract lives in [`StorageExt`](super::StorageExt). The suite in `conformance` (feature `conformance`) checks
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

    /// The longest body that is taken, in bytes; `u64::MAX` where there is no limit. Costs nothing to ask.
    fn max_body(&self) -> u64;

    /// Everything stored under `key`, in both keyspaces, in one trip.
    ///
    /// Small bodies come with their heads. The order of the responses is from the most recently published on.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked; never because of what is stored.
    fn lookup(&self, key: &CacheKey) -> impl Future<Output = Result<Lookup, StorageError>> + Send;

    /// Opens the body of a head that a lookup returned with [`StoredBody::Streamed`](crate::entry::StoredBody).
    ///
    /// Opening a body that came inline works too.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Missing`] when the body is gone.
    fn open(&self, head: &StoredHead) -> impl Future<Output = Result<Self::Reader, StorageError>> + Send;

    /// Starts to store a response. Nothing is visible until the writer publishes.
    ///
    /// `head.body` says how long the body will be, where that is known; its checksum is then not yet set.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] when a body of the announced length will not be taken, or the head is too long to be
    /// read again.
    fn begin(
        &self,
        head: StoredHead,
        fence: Fence,
    ) -> impl Future<Output = Result<Self::Writer, StorageError>> + Send;

    /// Replaces the head of the response that is stored under `head.key` with the id `head.id`, and only that one.
    /// The body is not touched.
    ///
    /// Returns whether the head was replaced. It is not where no response with this id is stored under the key, as after
    /// a replacement, a [`remove`](Self::remove) or a [`clear`](Self::clear). A fence from before a removal or clearing
    /// that covers the key never freshens what that removed; a storage may refuse such a fence without a look at the id.
    ///
    /// [`head.body`](StoredHead::body) is what the lookup returned.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] when `head.body` is `None`, [`StorageErrorKind::TooLarge`] when the head is too long to
    /// be read again. Otherwise when the storage cannot be asked.
    fn freshen(
        &self,
        head: StoredHead,
        fence: Fence,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Stores or replaces the alias under `alias.response.head.key`, of whatever kind either is.
    ///
    /// The body comes with it: it is not [`Streamed`](crate::entry::StoredBody::Streamed).
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] without its body, [`StorageErrorKind::TooLarge`] when the head is too long to be read
    /// again. Otherwise when the storage cannot be asked.
    fn put_alias(
        &self,
        alias: Alias,
        fence: Fence,
    ) -> impl Future<Output = Result<Published, StorageError>> + Send;

    /// Removes everything under `key` in both keyspaces and fences off the fills under way.
    /// Returns whether there was anything.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked.
    fn remove(&self, key: &CacheKey) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Removes the one response or alias stored under `key` with this id. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked.
    fn remove_entry(
        &self,
        key: &CacheKey,
        id: EntryId,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Invalidates groups: from now on, lookups mark what has one of them among its
    /// [group ids](StoredHead::group_ids) and was stored or freshened [as of](StoredHead::as_of) before now as
    /// [invalidated](StoredResponse::invalidated). The cost does not depend on the number of members, and what is
    /// kept of it is bounded. Every call counts, whoever makes it: two never get the same number, and a lookup that
    /// begins after this returned hands out its number or a higher one.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked; some of the groups may be invalidated then.
    fn invalidate(&self, groups: &[GroupId]) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// One page of all stored responses' heads, in an order of the storage's own, without bodies.
    ///
    /// `after` is the [`next`](Page::next) of the page before; `limit` is at least 1. What is stored or removed
    /// meanwhile may or may not be seen; everything else is seen exactly once.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked, or the cursor is not one of its own.
    fn responses(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<StoredHead>, StorageError>> + Send;

    /// One page of all aliases; otherwise as [`responses`](Self::responses).
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked, or the cursor is not one of its own.
    fn aliases(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Alias>, StorageError>> + Send;

    /// How much is stored.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked.
    fn usage(&self) -> impl Future<Output = Result<Usage, StorageError>> + Send;

    /// Removes everything in one keyspace, or in both, and fences off the fills under way.
    /// Only what this cache wrote is touched.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked; part of the entries may then be gone.
    fn clear(&self, keyspace: Option<Keyspace>) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Reclaims space.
    ///
    /// Responses and aliases whose [usable time](StoredHead::usable_until) has passed at `now` are gone afterwards, and
    /// nothing else that can be found. Bodies without a head and remains of dead writers go too, once they cannot belong
    /// to a writer at work: a storage that several processes share may wait an hour or more before it takes a writer for
    /// dead. `now` may be any time; what is not usable any more at `now` is removed even if the clock says otherwise.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked.
    fn maintain(&self, now: Timestamp) -> impl Future<Output = Result<Maintained, StorageError>> + Send;
}

/// Writes one body and makes the response visible when it is complete.
///
/// Dropping a writer aborts it.
pub trait BodyWriter: Send + 'static {
    /// Appends to the body. Pieces may have any size, 0 included.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] when the limit for one body is passed. After an error the writer can only be aborted.
    fn write(&mut self, data: Bytes) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Publishes the response with the body written so far as its whole body, and what `end` says of it.
    ///
    /// # Errors
    ///
    /// When the response could not be stored. It is then not visible. [`StorageErrorKind::TooLarge`] when the head with the
    /// trailer fields is too long to be read again.
    fn publish(self, end: BodyEnd) -> impl Future<Output = Result<Published, StorageError>> + Send;

    /// Gives up: nothing of the body stays.
    fn abort(self) -> impl Future<Output = ()> + Send;
}

/// Reads one body from its beginning to its end.
pub trait BodyReader: Send + 'static {
    /// The next piece, verified; `None` after exactly as many bytes as the head's [`BodySummary`] says.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Missing`] or [`StorageErrorKind::Corrupt`] when the rest of the body cannot be had.
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
    /// Must be carried by whatever is stored as a consequence of this lookup.
    pub fence: Fence,
    /// How many invalidations the storage had counted before this lookup, or fewer; never more. Whatever is stored or
    /// freshened as a consequence of this lookup carries it as its head's [`as_of`](StoredHead::as_of).
    pub as_of: u64,
}

/// A storage's mark of the moment of a lookup, so that a removal after it wins over a fill from before it.
/// The number means something to the storage alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused publication is not an error, but nothing was stored"]
pub enum Published {
    /// The response is stored and visible.
    Stored,
    /// Its key was removed, or the storage cleared, since the lookup: nothing was stored.
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

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items of this page; can be empty before the last page.
    pub items: Vec<T>,
    /// Where the next page starts; `None` after the last one.
    pub next: Option<Cursor>,
}

/// A storage's own bookmark in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Bytes);

/// How much a storage holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Stored responses, every variant counted.
    pub responses: u64,
    /// Redirect aliases.
    pub aliases: u64,
    /// Bytes of heads and bodies, as the storage accounts for them.
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
    /// Responses and aliases removed because their usable time had passed.
    pub expired: u64,
    /// Bodies, chunks or files that belonged to no published response.
    pub orphans: u64,
}

impl Maintained {
    /// A report of these counts.
    #[must_use]
    pub const fn new(expired: u64, orphans: u64) -> Self {
        Self { expired, orphans }
    }
}
