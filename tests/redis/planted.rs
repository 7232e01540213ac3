//! What somebody else who can write to the server plants, and what another version of larder wrote.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use larder::entry::{Alias, StoredBody, StoredHead, StoredResponse, codec};
use larder::storage::{Published, RedisStorage, Storage};

use crate::server::{Server, builder, head, in_seconds, key, read, store};

/// Gives the only variant of a record these columns of its count of chunks and of its length.
async fn plant(server: &Server, name: &str, columns: &str) {
    let record = format!("larder:{{{}}}", key(name).hex_digest());
    let code = "local v = redis.call('HGET', KEYS[1], 'v1') \
                redis.call('HSET', KEYS[1], 'v1', string.sub(v, 1, 95) .. ARGV[1] .. string.sub(v, 119))";
    server.run(&["EVAL", code, "1", &record, columns]).await;
}

#[tokio::test]
async fn a_planted_count_of_chunks_costs_no_more_than_what_is_there() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    // As many as there are columns for, with a length that goes with them and with one that does not.
    for columns in ["99999999999999999999999", "99999999000000000000010"] {
        for work in ["replaced", "freshened", "removed", "maintained", "cleared"] {
            let _ = store(&storage, head(work), 600_000).await.unwrap();
            let stored = storage.lookup(&key(work)).await.unwrap().responses.remove(0).head;
            plant(&server, work, columns).await;
            let done = async {
                storage.usage().await.unwrap();
                match work {
                    "replaced" => drop(store(&storage, head(work), 600_000).await.unwrap()),
                    "freshened" => {
                        let fence = storage.lookup(&key(work)).await.unwrap().fence;
                        let mut head = (*stored).clone();
                        head.usable_until = in_seconds(6000);
                        storage.freshen(head, fence).await.unwrap();
                    }
                    "removed" => drop(storage.remove(&key(work)).await.unwrap()),
                    "maintained" => drop(storage.maintain(in_seconds(100_000)).await.unwrap()),
                    _ => storage.clear(None).await.unwrap(),
                }
            };
            tokio::time::timeout(Duration::from_secs(10), done).await.unwrap_or_else(|_| panic!("{work}"));
            assert_eq!(store(&storage, head(work), 10).await.unwrap(), Published::Stored);
            assert_eq!(read(&storage, work).await.unwrap(), Some(10), "{work}");
        }
    }
}

fn alias(text: &'static str) -> Alias {
    let mut head = StoredHead::new(key("moved"), StatusCode::FOUND);
    head.usable_until = in_seconds(600);
    let body = StoredBody::Inline(Bytes::from_static(text.as_bytes()));
    Alias {
        response: StoredResponse { head: Arc::new(head), body, invalidated: false },
        target: key("target"),
    }
}

async fn put(storage: &RedisStorage, alias: Alias) {
    let fence = storage.lookup(&key("moved")).await.unwrap().fence;
    assert_eq!(storage.put_alias(alias, fence).await.unwrap(), Published::Stored);
}

#[tokio::test]
async fn an_alias_of_another_version_is_a_miss_and_stays() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().url(server.url()).connect().await.unwrap();
    put(&storage, alias("theirs")).await;
    let record = format!("larder:{{{}}}", key("moved").hex_digest());
    let (ours, theirs) = (format!("a{}", codec::VERSION), "a254");
    // The fourth byte of an alias says which version wrote it.
    let code = "local v = redis.call('HGET', KEYS[1], ARGV[1]) \
                redis.call('HSET', KEYS[1], ARGV[2], string.sub(v, 1, 121) .. string.char(254) .. string.sub(v, 123)) \
                redis.call('HDEL', KEYS[1], ARGV[1]) return v";
    server.run(&["EVAL", code, "1", &record, &ours, theirs]).await;
    let planted = server.run(&["HGET", &record, theirs]).await;
    assert!(storage.lookup(&key("moved")).await.unwrap().alias.is_none());
    assert!(storage.aliases(None, 10).await.unwrap().items.is_empty());
    storage.maintain(in_seconds(0)).await.unwrap();
    put(&storage, alias("ours")).await;
    assert!(storage.lookup(&key("moved")).await.unwrap().alias.is_some());
    assert_eq!(server.run(&["HGET", &record, theirs]).await, planted, "it is still there");
    // Also where it stands in this version's place, a lookup leaves it alone.
    let code = "redis.call('HSET', KEYS[1], ARGV[1], redis.call('HGET', KEYS[1], ARGV[2]))";
    server.run(&["EVAL", code, "1", &record, &ours, theirs]).await;
    assert!(storage.lookup(&key("moved")).await.unwrap().alias.is_none());
    assert_eq!(server.run(&["HGET", &record, &ours]).await, planted);
}
