//! Moving between storages.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use larder::clock::Timestamp;
use larder::entry::{Alias, BodySummary, EntryId, Group, GroupId, StoredBody, StoredHead, StoredResponse};
use larder::key::{CacheKey, Selecting, SelectingField, SelectingValue};
use larder::storage::{Copied, DynStorage, KeyValueStorage, MemoryStorage, Published, StorageExt};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use proptest::test_runner::{Config, TestCaseError};

use crate::key_value::MapStore;
#[cfg(feature = "gridfs")]
use crate::mongo::server::{DropsDatabase, Scratch};

/// The servers that there are.
struct Servers {
    #[cfg(feature = "redis")]
    redis: Option<String>,
    #[cfg(feature = "gridfs")]
    mongo: Option<(Scratch, DropsDatabase)>,
    #[cfg(feature = "dynamodb")]
    dynamodb: Option<String>,
}

impl Servers {
    fn new() -> Self {
        Self {
            #[cfg(feature = "redis")]
            redis: crate::redis::server("REDIS_URL"),
            #[cfg(feature = "gridfs")]
            mongo: Scratch::new().map(|scratch| (scratch.clone(), scratch.dropped_in_the_end())),
            #[cfg(feature = "dynamodb")]
            dynamodb: crate::dynamodb::server::server(),
        }
    }
}

/// A fresh, empty storage of every kind.
async fn storages(dir: &std::path::Path, servers: &Servers) -> Vec<Arc<dyn DynStorage>> {
    let mut all = local(dir).await;
    #[cfg(feature = "redis")]
    if let Some(url) = &servers.redis {
        let builder = larder::storage::RedisStorage::builder().namespace(crate::redis::namespace());
        all.push(Arc::new(builder.strict().url(url).connect().await.unwrap()));
    }
    #[cfg(feature = "gridfs")]
    if let Some((scratch, _)) = &servers.mongo {
        let name = || EntryId::random().to_string();
        all.push(Arc::new(scratch.mongo().collection(name()).strict().connect().await.unwrap()));
        all.push(Arc::new(scratch.gridfs().collection(name()).strict().connect().await.unwrap()));
    }
    #[cfg(feature = "dynamodb")]
    if let Some(url) = &servers.dynamodb {
        let (client, table) = (crate::dynamodb::server::client(url), crate::dynamodb::server::table());
        all.push(Arc::new(crate::dynamodb::server::builder(&client, &table).connect().await.unwrap()));
    }
    all
}

/// A fresh, empty storage of every kind that needs no server.
async fn local(dir: &std::path::Path) -> Vec<Arc<dyn DynStorage>> {
    let mut all: Vec<Arc<dyn DynStorage>> =
        vec![Arc::new(KeyValueStorage::new(MapStore::default())), Arc::new(MemoryStorage::new())];
    #[cfg(feature = "sqlite")]
    all.push(larder::storage::open("sqlite:").await.unwrap());
    #[cfg(all(feature = "filesystem", unix))]
    for format in ["compact", "json"] {
        let dir = dir.join(EntryId::random().to_string());
        all.push(larder::storage::open(&format!("file:{}?format={format}", dir.display())).await.unwrap());
    }
    let _ = (dir, &mut all);
    all
}

#[derive(Clone, Debug)]
struct Sample {
    key: u8,
    language: Option<u8>,
    body: usize,
    arrived: i64,
    fields: Vec<(u8, Vec<u8>)>,
    groups: Vec<String>,
    alias: bool,
}

fn sample() -> impl Strategy<Value = Sample> {
    let value = vec(prop::sample::select((0x20..=0x7e).chain(0x80..=0xff).collect::<Vec<u8>>()), 0..20);
    let body = prop::sample::select(vec![0, 1, 900, 16_384, 16_385, 70_000, 600_000]);
    (
        0..4_u8,
        any::<Option<u8>>(),
        body,
        0..1000_i64,
        vec((0..5_u8, value), 0..6),
        vec(".*", 0..3),
        any::<bool>(),
    )
        .prop_map(|(key, language, body, arrived, fields, groups, alias)| Sample {
            key,
            language,
            body,
            arrived,
            fields,
            groups,
            alias,
        })
}

fn key(name: &str) -> CacheKey {
    CacheKey::builder()
        .part(CacheKey::METHOD, "GET")
        .part(CacheKey::URI, format!("https://a.example/{name}"))
        .build()
}

fn head(sample: &Sample) -> StoredHead {
    let mut head = StoredHead::new(key(&sample.key.to_string()), StatusCode::OK);
    for (name, value) in &sample.fields {
        let name = HeaderName::from_bytes(format!("x-{name}").as_bytes()).unwrap();
        head.headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    head.response_time = Timestamp::from_millis(sample.arrived);
    head.usable_until = Timestamp::from_secs(4_000_000_000);
    head.selecting = Selecting {
        any: false,
        fields: vec![SelectingField {
            name: HeaderName::from_static("accept-language"),
            value: sample.language.map_or(SelectingValue::Absent, |byte| {
                SelectingValue::Plain(Bytes::copy_from_slice(&[byte % 3 + b'a']))
            }),
        }],
    };
    head.groups = sample
        .groups
        .iter()
        .map(|name| Group { origin: "https://a.example".to_owned(), name: name.clone() })
        .collect();
    head
}

async fn put(storage: &dyn DynStorage, sample: &Sample) {
    let mut head = head(sample);
    let fence = storage.lookup(&head.key).await.unwrap().fence;
    let published = if sample.alias {
        head.body = Some(BodySummary::of(b"moved"));
        let body = StoredBody::Inline(Bytes::from_static(b"moved"));
        let response = StoredResponse { head: head.into(), body, invalidated: false };
        storage.put_alias(Alias { response, target: key("target") }, fence).await.unwrap()
    } else {
        let body: Bytes = (0..sample.body).map(|at| (at % 251) as u8 ^ sample.key).collect();
        let mut writer = storage.begin(head, fence).await.unwrap();
        for piece in body.chunks(50_000) {
            writer.write(body.slice_ref(piece)).await.unwrap();
        }
        writer.publish(larder::entry::BodyEnd::default()).await.unwrap()
    };
    assert_eq!(published, Published::Stored);
}

type Everything = (Vec<(EntryId, StoredHead, Bytes)>, Vec<(EntryId, StoredHead, CacheKey)>);

async fn everything(storage: &dyn DynStorage) -> Everything {
    let (mut responses, mut all_aliases) = (Vec::new(), Vec::new());
    let mut heads = storage.entries();
    while let Some(head) = heads.next().await {
        let mut head = head.unwrap();
        // Each storage counts for itself.
        head.as_of = 0;
        let body = storage.read_all(&head, 1 << 20).await.unwrap();
        assert_eq!(head.body, Some(BodySummary::of(&body)));
        responses.push((head.id, head, body));
    }
    let mut aliases = storage.alias_entries();
    while let Some(alias) = aliases.next().await {
        let alias = alias.unwrap();
        let mut head = (*alias.response.head).clone();
        head.as_of = 0;
        all_aliases.push((head.id, head, alias.target));
    }
    responses.sort_by_key(|(id, ..)| *id);
    all_aliases.sort_by_key(|(id, ..)| *id);
    (responses, all_aliases)
}

async fn copy(from: &Arc<dyn DynStorage>, to: &Arc<dyn DynStorage>) -> Copied {
    let mut calls = 0;
    let copied = from.copy_to(&**to, |so_far| {
        calls += 1;
        assert_eq!(so_far.seen(), calls);
    });
    let copied = copied.await.unwrap();
    assert_eq!(copied.seen(), calls);
    copied
}

/// Copies through every storage that `between` chooses, and back.
async fn there_and_back(
    samples: Vec<Sample>,
    storages: impl AsyncFn() -> Vec<Arc<dyn DynStorage>>,
    between: impl Fn(&str, &str) -> bool,
) -> Result<(), TestCaseError> {
    let (starts, vias, ends) = (storages().await, storages().await, storages().await);
    for (start, end) in starts.iter().zip(&ends) {
        for sample in &samples {
            put(&**start, sample).await;
        }
        let before = everything(&**start).await;
        for via in vias.iter().filter(|via| between(start.name(), via.name())) {
            via.clear(None).await.unwrap();
            end.clear(None).await.unwrap();
            let copied = copy(start, via).await;
            prop_assert_eq!(copied.responses, before.0.len() as u64, "{:?}", copied);
            prop_assert_eq!(copied.aliases, before.1.len() as u64, "{:?}", copied);
            copy(via, end).await;
            prop_assert_eq!(&everything(&**via).await, &before, "{} to {}", start.name(), via.name());
            prop_assert_eq!(&everything(&**end).await, &before, "{} to {}", via.name(), end.name());
            let again = copy(start, via).await;
            prop_assert_eq!(again.skipped, again.seen(), "nothing is newer than itself");
        }
    }
    for storage in starts.iter().chain(&vias).chain(&ends) {
        storage.clear(None).await.unwrap();
    }
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(Config { cases: 6, ..Config::default() })]

    #[test]
    fn there_and_back_is_the_identity_for_every_pair(samples in vec(sample(), 0..10)) {
        let dir = tempfile::tempdir().unwrap();
        block_on(there_and_back(samples, async || local(dir.path()).await, |_, _| true))?;
    }
}

proptest! {
    #![proptest_config(Config { cases: 2, ..Config::default() })]

    #[test]
    fn there_and_back_is_the_identity_for_every_pair_with_a_server(samples in vec(sample(), 1..8)) {
        let (dir, servers) = (tempfile::tempdir().unwrap(), Servers::new());
        let storages = async || storages(dir.path(), &servers).await;
        block_on(there_and_back(samples, storages, |start, via| {
            [start, via].iter().any(|name| ["redis", "mongodb", "gridfs", "dynamodb"].contains(name))
        }))?;
    }
}

fn plain(arrived: i64, body: usize) -> Sample {
    Sample {
        key: 0,
        language: None,
        body,
        arrived,
        fields: Vec::new(),
        groups: vec!["g".to_owned()],
        alias: false,
    }
}

#[tokio::test]
async fn the_newer_response_wins() {
    let (dir, servers) = (tempfile::tempdir().unwrap(), Servers::new());
    let storages = async || storages(dir.path(), &servers).await;
    for (from, to) in storages().await.iter().zip(&storages().await) {
        put(&**from, &plain(10, 100_000)).await;
        put(&**to, &plain(20, 7)).await;
        assert_eq!(copy(from, to).await.skipped, 1);
        assert_eq!(everything(&**to).await.0[0].1.response_time, Timestamp::from_millis(20));
        put(&**from, &plain(30, 100_000)).await;
        assert_eq!(copy(from, to).await.responses, 1);
        assert_eq!(everything(&**to).await, everything(&**from).await);
    }
}

#[tokio::test]
async fn a_response_freshened_since_is_freshened_there() {
    let (dir, servers) = (tempfile::tempdir().unwrap(), Servers::new());
    let storages = async || storages(dir.path(), &servers).await;
    for (from, to) in storages().await.iter().zip(&storages().await) {
        put(&**from, &plain(10, 100_000)).await;
        copy(from, to).await;
        let mut head = everything(&**from).await.0.remove(0).1;
        head.response_time = Timestamp::from_millis(50);
        let found = from.lookup(&head.key).await.unwrap();
        head.as_of = found.as_of;
        assert!(from.freshen(head, found.fence).await.unwrap());
        assert_eq!(copy(from, to).await.responses, 1);
        assert_eq!(everything(&**to).await, everything(&**from).await);
    }
}

#[tokio::test]
async fn an_invalidated_member_of_a_group_stays_invalidated() {
    let (dir, servers) = (tempfile::tempdir().unwrap(), Servers::new());
    let storages = async || storages(dir.path(), &servers).await;
    for (from, to) in storages().await.iter().zip(&storages().await) {
        put(&**from, &plain(10, 100)).await;
        let group = Group { origin: "https://a.example".to_owned(), name: "g".to_owned() };
        from.invalidate(&[GroupId::of(&group)]).await.unwrap();
        copy(from, to).await;
        assert!(to.lookup(&key("0")).await.unwrap().responses[0].invalidated);
    }
}

#[tokio::test]
async fn what_the_other_storage_refuses_is_passed_over() {
    let from: Arc<dyn DynStorage> = Arc::new(MemoryStorage::new());
    let to: Arc<dyn DynStorage> = Arc::new(MemoryStorage::builder().max_body(1000).build().unwrap());
    put(&*from, &plain(10, 2000)).await;
    put(&*from, &Sample { key: 1, ..plain(10, 500) }).await;
    let copied = copy(&from, &to).await;
    assert_eq!((copied.responses, copied.refused), (1, 1));
}
