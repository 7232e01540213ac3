//! The contract, for both storages over the shared store.

/// Implements the contract for a storage with a field `store`.
macro_rules! storage_over_store {
    ($storage:ident) => {
        impl $crate::storage::mongodb::FromStore for $storage {
            const NAME: &'static str = NAME;
            const PREFIX: &'static str = PREFIX;
            const FILES: bool = FILES;

            fn from_store(store: std::sync::Arc<$crate::storage::mongodb::Store>) -> Self {
                Self { store }
            }
        }

        impl $crate::storage::Storage for $storage {
            type Writer = $crate::storage::mongodb::MongoWriter;
            type Reader = $crate::storage::mongodb::MongoReader;

            fn name(&self) -> &'static str {
                NAME
            }

            fn max_body(&self) -> u64 {
                self.store.max_body()
            }

            async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
                self.store.lookup(key).await
            }

            async fn open(&self, head: &StoredHead) -> Result<Self::Reader, StorageError> {
                self.store.open(head).await
            }

            async fn begin(&self, head: StoredHead, fence: Fence) -> Result<Self::Writer, StorageError> {
                crate::storage::kit::check_head(NAME, &head)?;
                self.store.begin(head, fence)
            }

            async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
                crate::storage::kit::check_head(NAME, &head)?;
                self.store.freshen(head, fence).await
            }

            async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
                crate::storage::kit::check_head(NAME, &alias.response.head)?;
                self.store.put_alias(&alias, fence).await
            }

            async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
                self.store.remove(key).await
            }

            async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
                self.store.remove_entry(key, id).await
            }

            async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
                self.store.invalidate(groups).await
            }

            async fn responses(
                &self,
                after: Option<&Cursor>,
                limit: usize,
            ) -> Result<Page<StoredHead>, StorageError> {
                self.store.responses(after, limit).await
            }

            async fn aliases(
                &self,
                after: Option<&Cursor>,
                limit: usize,
            ) -> Result<Page<Alias>, StorageError> {
                self.store.aliases(after, limit).await
            }

            async fn usage(&self) -> Result<Usage, StorageError> {
                self.store.usage().await
            }

            async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
                self.store.clear(keyspace).await
            }

            async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
                self.store.maintain(now).await
            }
        }
    };
}

pub(crate) use storage_over_store;
