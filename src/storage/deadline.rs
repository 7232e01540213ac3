//! A limit to how long a storage may take.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::{StorageError, StorageErrorKind};

/// The result of one storage operation, or [`StorageErrorKind::Timeout`] after `limit`.
///
/// A storage that answers at once, as memory does, never touches the timer.
pub(crate) async fn within<T>(
    limit: Duration,
    action: &'static str,
    mut operation: Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + '_>>,
) -> Result<T, StorageError> {
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(operation.as_mut().poll(cx))).await {
        return done;
    }
    // Boxed, because a timer is large, and those who never wait would carry the room for it.
    Box::pin(tokio::time::timeout(limit, operation)).await.unwrap_or_else(|_| {
        Err(StorageError::new(
            StorageErrorKind::Timeout,
            "any",
            format!("{action}: no answer within {limit:?}"),
        ))
    })
}
