//! The adapter over an ordered map.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use larder::entry::StoredHead;
use larder::storage::conformance::{Damage, Fixture};
use larder::storage::key_value::Space;
use larder::storage::{ByteStore, KeyValueStorage, StorageError};

#[derive(Clone, Debug, Default)]
pub(crate) struct MapStore(Arc<Mutex<BTreeMap<(Space, String), Bytes>>>);

impl ByteStore for MapStore {
    fn name(&self) -> &'static str {
        "map"
    }

    async fn get(&self, space: Space, name: &str) -> Result<Option<Bytes>, StorageError> {
        tokio::task::yield_now().await;
        Ok(self.0.lock().unwrap().get(&(space, name.to_owned())).cloned())
    }

    async fn put(&self, space: Space, name: &str, value: Bytes) -> Result<(), StorageError> {
        tokio::task::yield_now().await;
        self.0.lock().unwrap().insert((space, name.to_owned()), value);
        Ok(())
    }

    async fn remove(&self, space: Space, name: &str) -> Result<bool, StorageError> {
        tokio::task::yield_now().await;
        Ok(self.0.lock().unwrap().remove(&(space, name.to_owned())).is_some())
    }

    async fn list(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let map = self.0.lock().unwrap();
        let from = after.map_or(Bound::Included((space, String::new())), |name| {
            Bound::Excluded((space, name.to_owned()))
        });
        let names = map.range((from, Bound::Unbounded)).take_while(|((found, _), _)| *found == space);
        Ok(names.take(limit).map(|((_, name), _)| name.clone()).collect())
    }

    async fn len(&self, space: Space) -> Result<u64, StorageError> {
        Ok(self.0.lock().unwrap().keys().filter(|(found, _)| *found == space).count() as u64)
    }

    async fn clear(&self, space: Space) -> Result<(), StorageError> {
        self.0.lock().unwrap().retain(|(found, _), _| *found != space);
        Ok(())
    }
}

impl MapStore {
    fn damage(&self, head: &StoredHead, damage: Damage) {
        let mut map = self.0.lock().unwrap();
        let id = head.id.to_string();
        let (record, id) = ((Space::Responses, head.key.hex_digest()), id.as_str());
        let piece = map.keys().find(|(space, name)| *space == Space::Bodies && name.contains(id)).cloned();
        let garbled = match damage {
            Damage::GarbleHead => vec![0xa5; 300],
            Damage::LoseBody => {
                map.remove(&piece.unwrap());
                return;
            }
            _ => {
                // The middle of a piece, or the end of a record, where the inline body stands.
                let name = piece.clone().unwrap_or_else(|| record.clone());
                let mut value = map[&name].to_vec();
                let at = if piece.is_some() { value.len() / 2 } else { value.len() - 7 };
                value[at] ^= 0x10;
                map.insert(name, value.into());
                return;
            }
        };
        map.insert(record, garbled.into());
    }
}

async fn fixture() -> Fixture {
    const MAX: u64 = 64 * 1024 * 1024;
    let store = MapStore::default();
    let storage = KeyValueStorage::new(store.clone()).max_body(MAX);
    let handle = storage.clone();
    Fixture::new(storage)
        .inline_threshold(32 * 1024)
        .max_body(MAX)
        .reopen(move || {
            let handle = handle.clone();
            async move { Ok(handle) }
        })
        .damage(move |head, damage| {
            let store = store.clone();
            async move {
                store.damage(&head, damage);
                Ok(true)
            }
        })
}

larder::conformance_tests!(fixture());

mod restarted {
    use super::{Fixture, KeyValueStorage, MapStore};

    /// A second handle that shares the data and nothing else, as another process would.
    async fn fixture() -> Fixture {
        let store = MapStore::default();
        Fixture::new(KeyValueStorage::new(store.clone())).reopen(move || {
            let store = store.clone();
            async move { Ok(KeyValueStorage::new(store)) }
        })
    }

    macro_rules! requirement {
        ($($subject:ident::$name:ident)*) => {$(
            #[tokio::test]
            async fn $name() {
                larder::storage::conformance::$subject::$name(fixture().await).await;
            }
        )*};
    }

    requirement! {
        handles::a_reopened_storage_sees_everything
        handles::two_handles_see_each_other
        handles::two_handles_write_one_key_without_mixing
        fences::removals_by_another_handle_refuse_too
        groups::another_handle_sees_the_invalidation
    }
}
