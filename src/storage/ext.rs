//! Convenience built from the storage contract alone.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use super::{Copied, Cursor, DynStorage, Page, StorageError, StorageErrorKind, Usage, copy};
use crate::entry::{Alias, StoredHead};

/// Asked for at once when everything is listed: bounds the memory, and the number of trips.
const PAGE: usize = 256;

/// What every storage can do because it keeps the contract.
///
/// ```
/// use larder::storage::{MemoryStorage, StorageExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let storage = MemoryStorage::new();
/// assert!(storage.is_empty().await?);
/// let mut entries = storage.entries();
/// while let Some(head) = entries.next().await {
///     println!("{}", head?.uri);
/// }
/// # Ok::<_, larder::storage::StorageError>(())
/// # }).unwrap();
/// ```
pub trait StorageExt: DynStorage {
    /// Number of stored responses and aliases.
    fn len(&self) -> impl Future<Output = Result<u64, StorageError>> + Send {
        async {
            let Usage { responses, aliases, .. } = self.usage().await?;
            Ok(responses + aliases)
        }
    }

    /// Whether nothing is stored.
    fn is_empty(&self) -> impl Future<Output = Result<bool, StorageError>> + Send {
        async { Ok(self.len().await? == 0) }
    }

    /// The heads of all stored responses, without their bodies, page by page as they are asked for.
    fn entries(&self) -> Pages<'_, StoredHead> {
        Pages::new(move |after| Box::pin(async move { self.responses(after.as_ref(), PAGE).await }))
    }

    /// All redirect aliases, page by page as they are asked for.
    fn alias_entries(&self) -> Pages<'_, Alias> {
        Pages::new(move |after| Box::pin(async move { self.aliases(after.as_ref(), PAGE).await }))
    }

    /// The whole body of this head in one piece, if it has at most `limit` bytes.
    ///
    /// Meant for tools and small bodies: the layer streams.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] beyond the limit; otherwise as [`Storage::open`](super::Storage::open) and
    /// [`BodyReader::next`](super::BodyReader::next).
    fn read_all(
        &self,
        head: &StoredHead,
        limit: usize,
    ) -> impl Future<Output = Result<Bytes, StorageError>> + Send {
        async move {
            let too_large = || {
                let action = format!("reading a body of more than {limit} bytes at once");
                StorageError::new(StorageErrorKind::TooLarge, self.name(), action)
            };
            let len =
                usize::try_from(head.body_len()).ok().filter(|len| *len <= limit).ok_or_else(too_large)?;
            let mut reader = self.open(head).await?;
            let Some(first) = reader.next().await? else { return Ok(Bytes::new()) };
            if first.len() >= len {
                return Ok(first);
            }
            let mut all = BytesMut::with_capacity(len);
            all.extend_from_slice(&first);
            while let Some(piece) = reader.next().await? {
                if all.len() + piece.len() > limit {
                    return Err(too_large());
                }
                all.extend_from_slice(&piece);
            }
            Ok(all.freeze())
        }
    }

    /// Copies every response and every alias into another storage, whatever its kind; the bodies are streamed.
    ///
    /// Where the other one has a response of its own with the same selecting fields and range, the one that arrived
    /// later stays. Ids and times are kept; the order of variants under one key is not. What was invalidated as a
    /// member of a group is invalidated in the other storage as well, and with it whatever it has of these groups
    /// that did not arrive later. `progress` is called after each response or alias.
    ///
    /// ```
    /// use larder::storage::{MemoryStorage, StorageExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (from, to) = (MemoryStorage::new(), MemoryStorage::new());
    /// let copied = from.copy_to(&to, |so_far| println!("{} of them", so_far.seen())).await?;
    /// assert_eq!(copied.seen(), 0);
    /// # Ok::<_, larder::storage::StorageError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When one of the two storages cannot be used; what was copied until then stays. A body that cannot be read, or
    /// that the other storage refuses, is counted and passed over.
    fn copy_to<'a>(
        &'a self,
        target: &'a dyn DynStorage,
        progress: impl FnMut(&Copied) + Send + 'a,
    ) -> impl Future<Output = Result<Copied, StorageError>> + Send + 'a {
        copy::copy(self, target, progress)
    }
}

impl<S: DynStorage + ?Sized> StorageExt for S {}

type PageFuture<'a, T> = Pin<Box<dyn Future<Output = Result<Page<T>, StorageError>> + Send + 'a>>;
type Ask<'a, T> = Box<dyn Fn(Option<Cursor>) -> PageFuture<'a, T> + Send + Sync + 'a>;

/// Everything in a keyspace: a [`Stream`] that asks the storage for a page when the one before is used up.
///
/// After an error it ends.
#[must_use = "streams do nothing unless polled"]
pub struct Pages<'a, T> {
    ask: Ask<'a, T>,
    asking: Option<PageFuture<'a, T>>,
    items: std::vec::IntoIter<T>,
}

impl<'a, T> Pages<'a, T> {
    fn new(ask: impl Fn(Option<Cursor>) -> PageFuture<'a, T> + Send + Sync + 'a) -> Self {
        let asking = Some(ask(None));
        Self { ask: Box::new(ask), asking, items: Vec::new().into_iter() }
    }

    /// The next item, without a library of stream combinators.
    ///
    /// # Errors
    ///
    /// When the storage cannot be asked.
    pub async fn next(&mut self) -> Option<Result<T, StorageError>>
    where
        T: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: Unpin> Stream for Pages<'_, T> {
    type Item = Result<T, StorageError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(asking) = &mut self.asking else { return Poll::Ready(None) };
            let page = ready!(asking.as_mut().poll(cx));
            self.asking = None;
            match page {
                Ok(Page { items, next }) => {
                    self.items = items.into_iter();
                    self.asking = next.map(|cursor| (self.ask)(Some(cursor)));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl<T> fmt::Debug for Pages<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}
