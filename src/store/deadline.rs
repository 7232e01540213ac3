//! A limit to how long a storage may take.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::storage::{StorageError, StorageErrorKind};

/// The result of one storage operation, or [`StorageErrorKind::Timeout`] after `limit`.
///
/// A storage that answers at once, like memory, never uses the timer. Without a runtime there is no timer and no limit.
pub(super) async fn within<T>(
    limit: Duration,
    backend: &'static str,
    action: &'static str,
    mut operation: Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + '_>>,
) -> Result<T, StorageError> {
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(operation.as_mut().poll(cx))).await {
        return done;
    }
    if tokio::runtime::Handle::try_current().is_err() {
        return operation.await;
    }
    // Boxed, because a timer is large, and those who never wait would carry the room for it.
    Box::pin(tokio::time::timeout(limit, operation)).await.unwrap_or_else(|_| {
        let action = format!("{action}: no answer within {limit:?}");
        Err(StorageError::new(StorageErrorKind::Timeout, backend, action))
    })
}
