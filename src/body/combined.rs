//! Writing one body out of several stored ones (RFC 9111 section 3.4).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use super::fill::tidy;
use super::stored::StoredSlice;
use crate::entry::{BodyEnd, EntryId, StoredHead, StoredResponse};
use crate::error::BodyError;
use crate::key::CacheKey;
use crate::storage::{AnyWriter, Fence, Published, StorageError, StorageErrorKind};
use crate::store::Store;
use crate::underway::Mark;

/// Puts a part of a representation that has just been stored together with those stored beside it.
///
/// The part is stored on its own first. So nobody waits while stored bytes are copied, however many there are, and a
/// copy that fails costs nothing but itself.
pub(crate) trait Join: Send + Sync {
    /// `part` is the id of the new part, `union` the one to give to what becomes of it. Who asks for the key waits
    /// until the mark is dropped.
    fn join(self: Arc<Self>, key: CacheKey, part: EntryId, union: EntryId, mark: Mark) -> Joining;
}

pub(crate) type Joining = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Some of the bytes of a stored response.
pub(crate) struct Piece<'a> {
    pub(crate) stored: &'a StoredResponse,
    pub(crate) skip: u64,
    pub(crate) len: u64,
}

/// Opens a piece of a stored body.
pub(crate) async fn open_piece(store: &Store, piece: Piece<'_>) -> Result<StoredSlice, StorageError> {
    let slice = StoredSlice::open(store, piece.stored).await?;
    Ok(slice.range(piece.skip, piece.len))
}

/// Stores what the pieces are in their order, a few bytes at a time.
pub(crate) async fn unite(
    store: &Store,
    head: StoredHead,
    pieces: Vec<Piece<'_>>,
    replaces: Vec<EntryId>,
    fence: Fence,
) -> Result<Published, StorageError> {
    let (key, range) = (head.key.clone(), head.range);
    let mut writer = store.begin(head, fence).await?;
    for piece in pieces {
        let id = piece.stored.head.id;
        if let Err(error) = copy(store, piece, &mut writer).await {
            writer.abort().await;
            if matches!(error.kind(), StorageErrorKind::Missing | StorageErrorKind::Corrupt) {
                tidy(store, &key, &[id], Published::Stored).await;
            }
            return Err(error);
        }
    }
    let published = store.publish(writer, BodyEnd { trailers: None, range }).await?;
    tidy(store, &key, &replaces, published).await;
    Ok(published)
}

async fn copy(store: &Store, piece: Piece<'_>, writer: &mut AnyWriter) -> Result<(), StorageError> {
    let (mut due, mut slice) = (piece.len, open_piece(store, piece).await?);
    while let Some(frame) = poll_fn(|cx| slice.poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(reason)?.into_data() {
            due = due.saturating_sub(data.len() as u64);
            store.write(writer, data).await?;
        }
    }
    if due > 0 {
        return Err(store.error(StorageErrorKind::Missing, "reading a part: it is too short"));
    }
    Ok(())
}

/// What the storage said.
fn reason(error: BodyError) -> StorageError {
    error.into_inner().downcast().map_or_else(
        |other| StorageError::new(StorageErrorKind::Other, "any", "reading a part").with_source(other),
        |reason| *reason,
    )
}
