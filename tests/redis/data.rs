//! What stands in the server: expiry, namespaces, and what others put there.

use std::sync::Arc;
use std::time::Duration;

use larder::entry::{BodyEnd, GroupId};
use larder::storage::{BodyWriter, Fence, Keyspace, Published, RedisStorage, Storage, StorageErrorKind};
use redis::Value;

use crate::layered::{callers_never_notice_that_nothing_is_stored, is_no_use_and_no_harm};
use crate::server::{Server, builder, head, in_seconds, key, read, store};

fn number(value: &Value) -> i64 {
    let Value::Int(number) = value else { panic!("{value:?} is no number") };
    *number
}

#[tokio::test]
async fn keys_expire_a_margin_after_their_usable_time() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let stored = head("large");
    let (id, record) = (stored.id, format!("larder:{{{}}}", key("large").hex_digest()));
    let _ = store(&storage, stored, 600_000).await.unwrap();
    let chunk = format!("{record}:c:{id}:1");
    for name in [&record, &chunk] {
        let left = number(&server.run(&["PTTL", name]).await);
        assert!((890_000..=900_000).contains(&left), "600 s and 300 s: {name} has {left}");
    }
    let mut fresh = (*storage.lookup(&key("large")).await.unwrap().responses[0].head).clone();
    fresh.usable_until = in_seconds(6000);
    assert!(storage.freshen(fresh, Fence::default()).await.unwrap());
    for name in [&record, &chunk] {
        assert!(number(&server.run(&["PTTL", name]).await) > 6_200_000, "freshening keeps {name} longer");
    }
    let lasting =
        RedisStorage::connect(&format!("{}?namespace=lasting&ttl=false", server.url())).await.unwrap();
    let _ = store(&lasting, head("a"), 10).await.unwrap();
    let record = format!("lasting:{{{}}}", key("a").hex_digest());
    assert_eq!(number(&server.run(&["PTTL", &record]).await), -1);
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let Some(server) = Server::start(&["single"]) else { return };
    let names = ["a", "a:b", "a*", "[ab]", "?"];
    let mut storages = Vec::new();
    for name in names {
        let storage = builder().namespace(name).url(server.url()).connect().await.unwrap();
        let _ = store(&storage, head("same"), 40_000).await.unwrap();
        storages.push(storage);
    }
    for (number, storage) in storages.iter().enumerate() {
        assert_eq!(storage.usage().await.unwrap().responses, 1, "{}", names[number]);
        storage.clear(None).await.unwrap();
        assert_eq!(read(storage, "same").await.unwrap(), None);
        for other in &storages[number + 1..] {
            assert_eq!(read(other, "same").await.unwrap(), Some(40_000));
        }
    }
}

#[tokio::test]
async fn a_newer_layout_is_left_alone() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let _ = store(&storage, head("a"), 10).await.unwrap();
    server.run(&["HSET", "larder:{larder:marks}", "v", "3", "s", "3 and more"]).await;
    let before = number(&server.run(&["DBSIZE"]).await);
    for error in [
        storage.lookup(&key("a")).await.unwrap_err(),
        store(&storage, head("a"), 10).await.unwrap_err(),
        storage.clear(Some(Keyspace::Responses)).await.unwrap_err(),
        builder().url(server.url()).connect().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
    }
    is_no_use_and_no_harm(Arc::new(storage), &["incompatible"]).await;
    assert_eq!(number(&server.run(&["DBSIZE"]).await), before);
}

#[tokio::test]
async fn foreign_data_under_a_key_is_a_miss() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let record = format!("larder:{{{}}}", key("a").hex_digest());
    for (name, words) in [
        ("text", ["SET", &record, "text", ""].as_slice()),
        ("list", &["LPUSH", &record, "x"]),
        ("hash", &["HSET", &record, "v1", "x", "a", "z", "f", "?", "v99999999999999999999", "u"]),
    ] {
        server.run(&["DEL", &record]).await;
        server.run(if name == "text" { &words[..3] } else { words }).await;
        assert_eq!(read(&storage, "a").await.unwrap(), None, "{name}");
        assert_eq!(storage.usage().await.unwrap().responses, 0, "{name}");
        assert!(storage.responses(None, 10).await.unwrap().items.is_empty(), "{name}");
        storage.maintain(in_seconds(0)).await.unwrap();
        assert_eq!(store(&storage, head("a"), 10).await.unwrap(), Published::Stored, "{name}");
        assert_eq!(read(&storage, "a").await.unwrap(), Some(10), "{name}");
    }
    server.run(&["DEL", "larder:{larder:marks}"]).await;
    server.run(&["SET", "larder:{larder:marks}", "x"]).await;
    let error = storage.lookup(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
}

#[tokio::test]
async fn any_key_may_be_evicted() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let record = format!("larder:{{{}}}", key("a").hex_digest());

    // The marks: all is a miss, and no fill from before is stored.
    let _ = store(&storage, head("a"), 10).await.unwrap();
    let before = storage.lookup(&key("b")).await.unwrap().fence;
    server.run(&["DEL", "larder:{larder:marks}"]).await;
    assert_eq!(read(&storage, "a").await.unwrap(), None);
    let writer = storage.begin(head("b"), before).await.unwrap();
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);

    // The record of a fill under way, and with it a removal.
    let fence = storage.lookup(&key("a")).await.unwrap().fence;
    let writer = storage.begin(head("a"), fence).await.unwrap();
    storage.remove(&key("a")).await.unwrap();
    server.run(&["DEL", &record]).await;
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);

    // A chunk.
    let stored = head("a");
    let chunk = format!("{record}:c:{}:1", stored.id);
    let _ = store(&storage, stored, 600_000).await.unwrap();
    server.run(&["DEL", &chunk]).await;
    assert_eq!(read(&storage, "a").await.unwrap_err().kind(), StorageErrorKind::Missing);
}

/// Where the numbers of groups are lost, nobody knows what was invalidated: everything from before is validated once.
#[tokio::test]
async fn no_invalidation_is_lost_with_an_evicted_key() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let target = |name: &str| GroupId::of_target(&format!("https://redis.example/{name}"));
    let invalidated = async |name: &str| storage.lookup(&key(name)).await.unwrap().responses[0].invalidated;
    for name in ["a", "b"] {
        let _ = store(&storage, head(name), 10).await.unwrap();
    }
    storage.invalidate(&[target("a")]).await.unwrap();
    assert!(invalidated("a").await && !invalidated("b").await);
    server.run(&["DEL", "larder:{larder:marks}:groups"]).await;
    assert!(invalidated("a").await && invalidated("b").await, "before the next invalidation");
    let _ = store(&storage, head("c"), 10).await.unwrap();
    assert!(!invalidated("c").await);
    storage.invalidate(&[target("d")]).await.unwrap();
    assert!(invalidated("a").await && invalidated("b").await, "and after it");
    assert!(!invalidated("c").await, "it has seen all that was lost");
    let _ = store(&storage, head("a"), 10).await.unwrap();
    assert!(!invalidated("a").await, "what is stored then is right");

    // The marks: the count goes on, so that nobody can have a higher one from before.
    let before = storage.lookup(&key("e")).await.unwrap().as_of;
    server.run(&["DEL", "larder:{larder:marks}"]).await;
    assert!(storage.lookup(&key("e")).await.unwrap().as_of > before);
}

/// A primary that is lost with its last writes takes the count back with it.
#[tokio::test]
async fn a_count_that_goes_back_invalidates_what_has_a_higher_one() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let (mut early, found) = (head("fill"), storage.lookup(&key("fill")).await.unwrap());
    early.as_of = found.as_of + 5;
    let writer = storage.begin(early, found.fence).await.unwrap();
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    storage.invalidate(&[GroupId::of_target("https://redis.example/fill")]).await.unwrap();
    let found = storage.lookup(&key("fill")).await.unwrap();
    assert!(found.responses[0].invalidated, "it was stored with the count at its publication");

    let _ = store(&storage, head("stored"), 10).await.unwrap();
    let back = (found.as_of - 1).to_string();
    server.run(&["HSET", "larder:{larder:marks}", "n", &back]).await;
    server.run(&["HSET", "larder:{larder:marks}", "s", &marks(&server, &back).await]).await;
    assert!(storage.lookup(&key("stored")).await.unwrap().responses[0].invalidated);
}

/// The line that lookups read, with another count.
async fn marks(server: &Server, count: &str) -> String {
    let line = server.run(&["HGET", "larder:{larder:marks}", "s"]).await;
    let Value::BulkString(line) = line else { panic!("{line:?}") };
    let line = String::from_utf8(line).unwrap();
    let mut values: Vec<_> = line.split(' ').collect();
    values[3] = count;
    values.join(" ")
}

#[tokio::test]
async fn no_memory_left_is_full_and_hits_go_on() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let _ = store(&storage, head("a"), 10).await.unwrap();
    server.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for len in [10, 600_000] {
        let error = store(&storage, head("b"), len).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Full, "{error}");
    }
    assert_eq!(read(&storage, "a").await.unwrap(), Some(10));
    callers_never_notice_that_nothing_is_stored(Arc::new(storage.clone())).await;
    server.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    server.run(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    let error = store(&storage, head("b"), 10).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    server.run(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    server.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let error = store(&storage, head("b"), 10).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly, "{error}");
    assert_eq!(read(&storage, "a").await.unwrap(), Some(10), "a replica answers");
    callers_never_notice_that_nothing_is_stored(Arc::new(storage)).await;
}

/// Redis stops to write when it cannot save what it has any more.
#[tokio::test]
async fn a_disk_that_is_full_is_told_and_hits_go_on() {
    let Some(server) = Server::start(&["single", "--enable-protected-configs", "yes"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let _ = store(&storage, head("a"), 10).await.unwrap();
    let disk = tempfile::tempdir().unwrap();
    server.run(&["CONFIG", "SET", "dir", disk.path().to_str().unwrap()]).await;
    drop(disk);
    server.run(&["CONFIG", "SET", "save", "3600 1"]).await;
    server.run(&["BGSAVE"]).await;
    let failed = async || {
        let text: String = redis::from_redis_value(server.run(&["INFO", "persistence"]).await).unwrap();
        text.contains("rdb_last_bgsave_status:err")
    };
    while !failed().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for len in [10, 600_000] {
        let error = store(&storage, head("b"), len).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Full, "{error}");
    }
    assert_eq!(read(&storage, "a").await.unwrap(), Some(10));
    callers_never_notice_that_nothing_is_stored(Arc::new(storage)).await;
    server.run(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]).await;
}

#[tokio::test]
async fn a_hit_is_one_round_trip() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    let _ = store(&storage, head("a"), 10_000).await.unwrap();
    let calls = |stats: Value| {
        let text: String = redis::from_redis_value(stats).unwrap();
        let count = |command: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
            line.map_or(0, |line| line.split(['=', ',']).nth(1).unwrap().parse().unwrap())
        };
        [count("hgetall"), count("hget"), count("get"), count("mget"), count("evalsha"), count("eval")]
    };
    server.run(&["CONFIG", "RESETSTAT"]).await;
    for _ in 0..10 {
        assert_eq!(read(&storage, "a").await.unwrap(), Some(10_000));
    }
    assert_eq!(
        calls(server.run(&["INFO", "commandstats"]).await),
        [10, 10, 0, 0, 0, 0],
        "two commands, pipelined"
    );
}
