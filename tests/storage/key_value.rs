//! The adapter over an ordered map.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use larder::clock::Timestamp;
use larder::entry::{Alias, BodyEnd, BodySummary, GroupId, StoredBody, StoredHead, StoredResponse, codec};
use larder::key::CacheKey;
use larder::storage::conformance::{Damage, Fixture};
use larder::storage::key_value::Space;
use larder::storage::{
    BodyReader, BodyWriter, ByteStore, KeyValueStorage, Lookup, Published, Storage, StorageError,
};

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
            Damage::OtherVersion => renumbered(&map[&record], [codec::VERSION, 254]),
            Damage::OwnVersion => renumbered(&map[&record], [254, codec::VERSION]),
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

/// Makes one version's head another's.
fn renumbered(record: &[u8], [from, to]: [u8; 2]) -> Vec<u8> {
    let magic = [b'l', b'd', b'h', from];
    let at = record.windows(4).position(|window| window == magic).expect("a head of that version");
    let mut record = record.to_vec();
    record[at + 3] = to;
    record
}

async fn fixture() -> Fixture {
    const MAX: u64 = 64 * 1024 * 1024;
    let store = MapStore::default();
    let storage = KeyValueStorage::builder(store.clone()).max_body(MAX).build().unwrap();
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

/// A map with a record that a version with another layout of it wrote.
#[tokio::test]
async fn a_record_in_another_layout_is_a_miss_and_stays() {
    let store = MapStore::default();
    let storage = KeyValueStorage::new(store.clone());
    let key = key("layout");
    assert_eq!(put(&storage, &key, 1000).await, Published::Stored);
    let name = (Space::Responses, key.hex_digest());
    let mut theirs = store.0.lock().unwrap()[&name].to_vec();
    theirs[3] += 1;
    let theirs = Bytes::from(theirs);
    store.0.lock().unwrap().insert(name.clone(), theirs.clone());

    assert!(storage.lookup(&key).await.unwrap().responses.is_empty());
    storage.maintain(Timestamp::from_secs(1 << 40)).await.unwrap();
    assert_eq!(put(&storage, &key, 1000).await, Published::Superseded);
    assert_eq!(store.0.lock().unwrap()[&name], theirs);

    storage.remove(&key).await.unwrap();
    assert_ne!(store.0.lock().unwrap()[&name], theirs, "a removal is for all versions");
}

#[tokio::test]
async fn an_alias_of_another_version_is_a_miss_and_stays() {
    let store = MapStore::default();
    let storage = KeyValueStorage::new(store.clone());
    let key = key("alias");
    let response = StoredResponse {
        head: StoredHead::new(key.clone(), StatusCode::FOUND).into(),
        body: StoredBody::Inline(Bytes::new()),
        invalidated: false,
    };
    let alias = Alias { response, target: key.clone() };
    let fence = storage.lookup(&key).await.unwrap().fence;
    assert_eq!(storage.put_alias(alias.clone(), fence).await.unwrap(), Published::Stored);
    let name = (Space::Aliases, key.hex_digest());
    let mut theirs = store.0.lock().unwrap()[&name].to_vec();
    theirs[3] += 1;
    let theirs = Bytes::from(theirs);
    store.0.lock().unwrap().insert(name.clone(), theirs.clone());

    assert!(storage.lookup(&key).await.unwrap().alias.is_none());
    storage.maintain(Timestamp::from_secs(1 << 40)).await.unwrap();
    assert_eq!(storage.put_alias(alias, fence).await.unwrap(), Published::Superseded);
    assert_eq!(store.0.lock().unwrap()[&name], theirs);
}

/// Somebody who can write to the store plants a head that claims a body of 2^64-1 bytes.
#[tokio::test]
async fn a_planted_body_length_costs_no_more_than_what_is_there() {
    for len in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 50] {
        let store = MapStore::default();
        let storage = KeyValueStorage::new(store.clone());
        let key = key("planted");
        assert_eq!(put(&storage, &key, 1_000_000).await, Published::Stored);
        let stored = storage.lookup(&key).await.unwrap().responses.remove(0).head;
        let mut head = StoredHead::clone(&stored);
        head.body = Some(BodySummary { len, checksum: 0 });
        let head = codec::encode(&head);
        let mut record = b"ldk\x01".to_vec();
        record.extend_from_slice(&[0; 16]);
        for _ in 0..2 {
            record.push(1);
            record.extend_from_slice(&[0; 8]);
            record.extend_from_slice(&u32::try_from(head.len()).unwrap().to_le_bytes());
            record.extend_from_slice(&head);
        }
        store.0.lock().unwrap().insert((Space::Responses, key.hex_digest()), record.into());

        let work = async {
            storage.usage().await.unwrap();
            for response in storage.lookup(&key).await.unwrap().responses {
                let mut reader = storage.open(&response.head).await.unwrap();
                while reader.next().await.is_ok_and(|piece| piece.is_some()) {}
            }
            storage.maintain(Timestamp::from_secs(0)).await.unwrap();
            storage.remove(&key).await.unwrap();
        };
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("bounded");
        assert!(storage.lookup(&key).await.unwrap().responses.is_empty());
    }
}

fn key(name: &str) -> CacheKey {
    CacheKey::builder().part(CacheKey::URI, format!("https://example.com/{name}")).build()
}

async fn put(storage: &KeyValueStorage<MapStore>, key: &CacheKey, len: usize) -> Published {
    let fence = storage.lookup(key).await.unwrap().fence;
    let mut head = StoredHead::new(key.clone(), StatusCode::OK);
    head.usable_until = Timestamp::from_secs(1 << 41);
    let mut writer = storage.begin(head, fence).await.unwrap();
    writer.write(vec![7; len].into()).await.unwrap();
    writer.publish(BodyEnd::default()).await.unwrap()
}

/// The map forgets how many invalidations there were, or a number of one is damaged.
#[tokio::test]
async fn a_count_that_was_lost_makes_nothing_valid() {
    let count = || (Space::Marks, "invalidations".to_owned());
    for harm in ["count lost", "count damaged", "slots damaged"] {
        let store = MapStore::default();
        let storage = KeyValueStorage::new(store.clone());
        let (key, group) = (key("counted"), GroupId::of_target("https://example.com/counted"));
        for _ in 0..3 {
            storage.invalidate(&[group]).await.unwrap();
        }
        let Lookup { fence, as_of, .. } = storage.lookup(&key).await.unwrap();
        let mut head = StoredHead::new(key.clone(), StatusCode::OK);
        head.uri = "https://example.com/counted".to_owned();
        (head.usable_until, head.as_of) = (Timestamp::from_secs(1 << 41), as_of);
        let writer = storage.begin(head, fence).await.unwrap();
        assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
        assert!(!storage.lookup(&key).await.unwrap().responses[0].invalidated);
        match harm {
            "count lost" => drop(store.0.lock().unwrap().remove(&count())),
            "count damaged" => drop(store.0.lock().unwrap().insert(count(), Bytes::from_static(b"abc"))),
            _ => {
                storage.invalidate(&[GroupId::of_target("https://example.com/other")]).await.unwrap();
                for ((space, name), value) in &mut *store.0.lock().unwrap() {
                    if *space == Space::Marks && name.starts_with("invalidated-") {
                        *value = value.slice(..5);
                    }
                }
            }
        }
        assert!(storage.lookup(&key).await.unwrap().responses[0].invalidated, "{harm}");
        storage.invalidate(&[group]).await.unwrap();
        assert!(
            storage.lookup(&key).await.unwrap().responses[0].invalidated,
            "{harm}, and invalidated again"
        );
    }
}

#[test]
fn an_impossible_threshold_is_named_with_what_is_possible() {
    let builder = || KeyValueStorage::builder(MapStore::default());
    let error = builder().inline_threshold(256 * 1024 + 1).build().unwrap_err();
    assert!(error.to_string().contains("inline_threshold is 262145; possible: 0 to 262144"), "{error}");
    builder().inline_threshold(256 * 1024).build().unwrap();
}
