//! Convenience built from the storage contract alone.

use super::{DynStorage, StorageError, Usage};

/// What every storage can do because it keeps the contract.
pub trait StorageExt: DynStorage {
    /// Number of stored responses and aliases.
    fn len(&self) -> impl Future<Output = Result<u64, StorageError>> + Send {
        async {
            let Usage { responses, aliases, .. } = self.usage().await?;
            Ok(responses + aliases)
        }
    }
}

impl<S: DynStorage + ?Sized> StorageExt for S {}
