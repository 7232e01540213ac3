//! Convenience methods that need only the storage contract.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use super::{Copied, Cursor, DynStorage, Page, StorageError, StorageErrorKind, Usage, copy};
use crate::entry::{Alias, StoredHead};

/// The size of a page when everything is listed. It bounds the memory and the number of round trips.
const PAGE: usize = 256;

/// Convenience methods of every storage.
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

    /// The heads of all stored responses, without their bodies. Pages are fetched on demand.
    fn entries(&self) -> Pages<'_, StoredHead> {
        Pages::new(move |after| Box::pin(async move { self.responses(after.as_ref(), PAGE).await }))
    }

    /// All aliases. Pages are fetched on demand.
    fn alias_entries(&self) -> Pages<'_, Alias> {
        Pages::new(move |after| Box::pin(async move { self.aliases(after.as_ref(), PAGE).await }))
    }

    /// Reads the whole body of this head into memory, if it has at most `limit` bytes.
    ///
    /// This is for tools and small bodies. The layer streams bodies.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::TooLarge`] for a longer body. Otherwise as [`Storage::open`](super::Storage::open) and
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

    /// Copies every response and every alias into another storage of any kind. Bodies are streamed.
    ///
    /// If the other storage has a response with the same key, selecting fields and range, the response that arrived later
    /// stays. The copy keeps ids and times, but not the order of variants under one key. A response that is invalidated
    /// here is invalidated there as well. This also invalidates all responses of the same groups in the other storage that
    /// did not arrive later. `progress` is called after each response or alias.
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
    /// When one of the two storages fails. What was copied until then stays. A body that cannot be read, or that the other
    /// storage refuses, is counted and skipped.
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

/// Everything in a keyspace: a [`Stream`] that fetches a page when the previous one is used up.
///
/// It ends after an error.
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

    /// The next item. This method needs no crate for streams.
    ///
    /// # Errors
    ///
    /// When the storage does not answer.
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
