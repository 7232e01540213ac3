//! Bodies larger than memory should have to hold: through every backend that keeps them on a server, and through the layer
//! over SQLite and files.
//!
//! A binary of its own, one test at a time: what is measured is the memory of the process.
#![cfg(all(
    target_os = "linux",
    feature = "sqlite",
    feature = "filesystem",
    feature = "redis",
    feature = "gridfs",
    feature = "dynamodb"
))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

#[path = "../support/dynamodb.rs"]
mod dynamodb;
#[path = "../support/mongo.rs"]
mod mongo;
mod through;

use bytes::Bytes;
use http::StatusCode;
use larder::clock::{Clock, SystemClock};
use larder::entry::{BodyEnd, EntryId, StoredHead};
use larder::key::CacheKey;
use larder::storage::{DynStorage, Published, RedisStorage};
use tokio::sync::Mutex;

const MIB: usize = 1024 * 1024;
const LEN: usize = 256 * MIB;
const PIECE: usize = 64 * 1024;
/// Resident memory may grow by this much.
const BOUND: usize = 64 * MIB;

/// Held by whoever measures.
static ALONE: Mutex<()> = Mutex::const_new(());

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn head() -> StoredHead {
    let key = CacheKey::builder().part(CacheKey::URI, "https://a.example/large").build();
    let mut head = StoredHead::new(key, StatusCode::OK);
    head.response_time = SystemClock.now();
    head.usable_until = SystemClock.now().plus_millis(3_600_000);
    head
}

/// Stores a quarter of a gibibyte and reads it back.
async fn streams_in_little_memory(storage: &dyn DynStorage) {
    let _alone = ALONE.lock().await;
    let (before, mut most) = (resident(), 0);
    let head = head();
    let key = head.key.clone();
    let fence = storage.lookup(&key).await.unwrap().fence;
    let mut writer = storage.begin(head, fence).await.unwrap();
    for number in 0..LEN / PIECE {
        writer.write(Bytes::from(vec![(number % 251) as u8; PIECE])).await.unwrap();
        most = most.max(if number % 16 == 0 { resident() } else { 0 });
    }
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    let written = most.saturating_sub(before) / MIB;
    let found = storage.lookup(&key).await.unwrap().responses.remove(0);
    assert_eq!(found.head.body_len(), LEN as u64);
    let mut reader = storage.open(&found.head).await.unwrap();
    let mut at = 0;
    while let Some(piece) = reader.next().await.unwrap() {
        for (number, byte) in piece.iter().enumerate().step_by(4099) {
            assert_eq!(usize::from(*byte), (at + number) / PIECE % 251);
        }
        at += piece.len();
        most = most.max(resident());
    }
    assert_eq!(at, LEN);
    let grown = most.saturating_sub(before);
    println!("{}: {written} MiB more resident after writing, {} MiB in all", storage.name(), grown / MIB);
    storage.clear(None).await.unwrap();
    assert!(grown < BOUND, "{} MiB more resident", grown / MIB);
}

#[tokio::test]
async fn a_quarter_of_a_gibibyte_through_redis() {
    let Ok(url) = std::env::var("REDIS_URL") else {
        assert!(std::env::var_os("LARDER_REQUIRE_SERVERS").is_none(), "there is no REDIS_URL");
        return println!("skipped: no REDIS_URL");
    };
    let namespace = format!("larder-large-{}", EntryId::random());
    let storage = RedisStorage::builder().namespace(namespace).strict().url(&url).connect().await.unwrap();
    streams_in_little_memory(&storage).await;
}

#[tokio::test]
async fn a_quarter_of_a_gibibyte_through_mongodb() {
    let Some(scratch) = mongo::Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    streams_in_little_memory(&scratch.mongo().strict().connect().await.unwrap()).await;
}

#[tokio::test]
async fn a_quarter_of_a_gibibyte_through_gridfs() {
    let Some(scratch) = mongo::Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    streams_in_little_memory(&scratch.gridfs().strict().connect().await.unwrap()).await;
}

#[tokio::test]
async fn a_quarter_of_a_gibibyte_through_dynamodb() {
    let Some(url) = dynamodb::server() else { return };
    let (client, table) = (dynamodb::client(&url), dynamodb::table());
    streams_in_little_memory(&dynamodb::builder(&client, &table).connect().await.unwrap()).await;
    drop(client.delete_table().table_name(&table).send().await);
}
