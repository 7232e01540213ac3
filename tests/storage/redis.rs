//! The suite on Redis: one server, a cluster, the primary of a sentinel's service, TLS.

use std::sync::atomic::{AtomicU64, Ordering};

use larder::entry::{StoredHead, codec};
use larder::storage::conformance::{Damage, Fixture};
use larder::storage::redis::RedisStorageBuilder;
use larder::storage::{RedisStorage, StorageError};

use crate::end_to_end::Opened;

const MIB: u64 = 1024 * 1024;
const INLINE: usize = 16 * 1024;

/// The value of a variable that names a server, or nothing and a line that says so.
pub(crate) fn server(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if found.is_none() {
        assert!(std::env::var_os("LARDER_REQUIRE_SERVERS").is_none(), "there is no {variable}");
        println!("skipped: no {variable}");
    }
    found
}

/// A namespace that nobody else uses.
pub(crate) fn namespace() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("larder-test-{:08x}-{}", fastrand::u32(..), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn builder(namespace: &str) -> RedisStorageBuilder {
    let builder = RedisStorage::builder().namespace(namespace).inline_threshold(INLINE);
    builder.max_body(64 * MIB).strict()
}

/// Empties the namespace when a requirement has been checked.
struct Clearing(RedisStorage);

impl Drop for Clearing {
    fn drop(&mut self) {
        let storage = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            tokio::task::block_in_place(|| {
                let _cleared = runtime.block_on(larder::storage::Storage::clear(&storage, None));
            });
        }
    }
}

/// Without the server, memory takes its place, so that the suite says "skipped" once for each requirement.
async fn fixture(variable: &str, url: impl Fn(&str) -> String) -> Fixture {
    let Some(value) = server(variable) else {
        return Fixture::new(larder::storage::MemoryStorage::new());
    };
    let (url, namespace) = (url(&value), namespace());
    let storage = connect(&url, &namespace).await.expect("the server is there");
    let (again, spoiled) = ((url.clone(), namespace.clone()), (url, namespace));
    Fixture::new(storage.clone())
        .max_body(64 * MIB)
        .inline_threshold(INLINE)
        .reopen(move || {
            let (url, namespace) = again.clone();
            async move { connect(&url, &namespace).await }
        })
        .damage(move |head, damage| {
            let (url, namespace) = spoiled.clone();
            async move { Ok(spoil(&url, &namespace, &head, damage).await) }
        })
        .keep(Clearing(storage))
}

async fn connect(url: &str, namespace: &str) -> Result<RedisStorage, StorageError> {
    let mut builder = builder(namespace);
    if let Some(ca) = std::env::var_os("REDIS_CA") {
        builder = builder.ca_file(ca);
    }
    builder.url(url).connect().await
}

/// Does what no program should do to the keys of a head. Only for one server.
async fn spoil(url: &str, namespace: &str, head: &StoredHead, damage: Damage) -> bool {
    if !url.starts_with("redis://") {
        return false;
    }
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let record = format!("{namespace}:{{{}}}", head.key.hex_digest());
    let chunk = format!("{record}:c:{}:0", head.id);
    let chunked: bool = redis::cmd("EXISTS").arg(&chunk).query_async(&mut connection).await.unwrap();
    let fields: Vec<(String, Vec<u8>)> =
        redis::cmd("HGETALL").arg(&record).query_async(&mut connection).await.unwrap();
    let id = head.id.to_string();
    let of_head = |value: &[u8]| value.get(16..48) == Some(id.as_bytes());
    let Some((field, value)) = fields.into_iter().find(|(_, value)| of_head(value)) else { return false };
    // What the scripts need, and the length of the head, stand before the head.
    let (columns, garbled) = (126, [&value[..126], &[1, 2, 3]].concat());
    let head_len: usize = std::str::from_utf8(&value[118..columns]).unwrap().parse().unwrap();
    let flipped = [&value[..columns + head_len], "x".repeat(1000).as_bytes()].concat();
    // The fourth byte of a head says which version wrote it.
    let of_version = |version| [&value[..columns + 3], &[version], &value[columns + 4..]].concat();
    let mut pipeline = redis::pipe();
    match damage {
        Damage::FlipBody if chunked => pipeline.cmd("SETRANGE").arg(&chunk).arg(1000).arg("xxxx"),
        Damage::FlipBody => pipeline.cmd("HSET").arg(&record).arg(&field).arg(flipped),
        Damage::LoseBody if chunked => pipeline.cmd("DEL").arg(&chunk),
        Damage::GarbleHead => pipeline.cmd("HSET").arg(&record).arg(&field).arg(garbled),
        Damage::OtherVersion => pipeline.cmd("HSET").arg(&record).arg(&field).arg(of_version(0xfe)),
        Damage::OwnVersion => pipeline.cmd("HSET").arg(&record).arg(&field).arg(of_version(codec::VERSION)),
        _ => return false,
    };
    pipeline.exec_async(&mut connection).await.unwrap();
    true
}

async fn opened(variable: &str, url: impl Fn(&str) -> String) -> Option<Opened> {
    let storage = connect(&url(&server(variable)?), &namespace()).await.expect("the server is there");
    Some(Opened::new(storage.clone(), Clearing(storage)))
}

mod single {
    use super::{fixture, opened};

    larder::conformance_tests!(fixture("REDIS_URL", str::to_owned));
    crate::end_to_end::end_to_end_tests!(opened("REDIS_URL", str::to_owned));
}

mod tls {
    use super::{fixture, opened};

    larder::conformance_tests!(fixture("REDIS_TLS_URL", str::to_owned));
    crate::end_to_end::end_to_end_tests!(opened("REDIS_TLS_URL", str::to_owned));
}

mod cluster {
    use super::{fixture, opened};

    fn url(nodes: &str) -> String {
        let hosts: Vec<_> =
            nodes.split(',').map(|node| node.trim_start_matches("redis://").trim_end_matches('/')).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    larder::conformance_tests!(fixture("REDIS_CLUSTER_URLS", url));
    crate::end_to_end::end_to_end_tests!(opened("REDIS_CLUSTER_URLS", url));
}

mod sentinel {
    use super::{fixture, opened};

    fn url(sentinels: &str) -> String {
        let hosts: Vec<_> = sentinels
            .split(',')
            .map(|node| node.trim_start_matches("redis://").trim_end_matches('/'))
            .collect();
        let service = std::env::var("REDIS_SENTINEL_SERVICE").unwrap();
        format!("redis+sentinel://{}/{service}", hosts.join(","))
    }

    larder::conformance_tests!(fixture("REDIS_SENTINEL_URLS", url));
    crate::end_to_end::end_to_end_tests!(opened("REDIS_SENTINEL_URLS", url));
}
