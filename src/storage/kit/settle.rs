//! What to do with a body after the publication of its head.

use crate::storage::{Published, StorageError, StorageErrorKind};

/// What to do with the chunks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Body {
    /// A head names them, or may name them yet. If none does, maintenance finds them.
    Keep,
    /// No head can name them.
    Discard,
}

/// Decides about a body after its publication, for stores without transactions over head and body.
///
/// A failed publication may have been carried out although its answer was lost. `withdraw` then removes the head again.
/// A server that did not answer in time, or went away, may also carry it out later, when the head has been withdrawn
/// already. Then the body stays: a head that appears late must find its body.
pub(in crate::storage) async fn settle(
    published: &Result<Published, StorageError>,
    withdraw: impl Future<Output = Result<(), StorageError>>,
) -> Body {
    match published {
        Ok(Published::Stored) => Body::Keep,
        Ok(Published::Superseded) => Body::Discard,
        Err(error) => {
            let withdrawn = withdraw.await.is_ok();
            if withdrawn && !is_undecided(error) { Body::Discard } else { Body::Keep }
        }
    }
}

/// Whether what was asked for may still be done.
fn is_undecided(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Timeout | StorageErrorKind::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::{Body, Published, StorageError, StorageErrorKind, settle};

    fn failed<T>(kind: StorageErrorKind) -> Result<T, StorageError> {
        Err(StorageError::new(kind, "x", "publishing"))
    }

    #[tokio::test]
    async fn a_body_goes_only_where_no_head_can_appear() {
        use StorageErrorKind::{Full, Timeout, Unavailable};
        for (published, withdrawn, expected) in [
            (Ok(Published::Stored), failed(Full), Body::Keep),
            (Ok(Published::Superseded), failed(Full), Body::Discard),
            (failed(Full), Ok(()), Body::Discard),
            (failed(Full), failed(Full), Body::Keep),
            (failed(Timeout), Ok(()), Body::Keep),
            (failed(Unavailable), Ok(()), Body::Keep),
        ] {
            assert_eq!(settle(&published, async { withdrawn }).await, expected, "{published:?}");
        }
    }
}
