//! Writing one body out of several stored ones (RFC 9111 section 3.4).

use std::future::poll_fn;

use super::stored::StoredSlice;
use crate::entry::{BodyEnd, StoredHead, StoredResponse};
use crate::error::BodyError;
use crate::policy::Slice;
use crate::storage::{AnyWriter, Fence, Published, StorageError, StorageErrorKind};
use crate::store::Store;

/// Stores the slices in their order as the body of `head`, a few bytes at a time. What cannot be read is removed.
pub(crate) async fn combine(
    store: &Store,
    head: StoredHead,
    stored: &[StoredResponse],
    slices: &[Slice],
    fence: Fence,
) -> Result<Published, StorageError> {
    let (key, range) = (head.key.clone(), head.range);
    let mut writer = store.begin(head, fence).await?;
    for slice in slices {
        let Some(one) = stored.get(slice.index) else { continue };
        if let Err(error) = copy(store, one, *slice, &mut writer).await {
            writer.abort().await;
            if matches!(error.kind(), StorageErrorKind::Missing | StorageErrorKind::Corrupt) {
                store.remove_entries(&key, [one.head.id]).await;
            }
            return Err(error);
        }
    }
    store.publish(writer, BodyEnd { trailers: None, range }).await
}

async fn copy(
    store: &Store,
    stored: &StoredResponse,
    slice: Slice,
    writer: &mut AnyWriter,
) -> Result<(), StorageError> {
    let mut body = StoredSlice::open(store, stored).await?.range(slice.skip, slice.len);
    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(|error| reason(store, error))?.into_data() {
            store.write(writer, data).await?;
        }
    }
    Ok(())
}

/// The storage's error.
fn reason(store: &Store, error: BodyError) -> StorageError {
    error.into_inner().downcast().map_or_else(
        |other| store.error(StorageErrorKind::Other, "reading a part").with_source(other),
        |reason| *reason,
    )
}
