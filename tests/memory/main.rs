//! What the memory storage promises beyond the contract: limits that hold, and a policy that a scan does not flush.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use larder::entry::{StoredBody, StoredHead};
use larder::key::CacheKey;
use larder::storage::{BodyWriter, MemoryStorage, Published, Storage, StorageErrorKind, StorageExt, Usage};

const MIB: u64 = 1024 * 1024;

fn key(number: u64) -> CacheKey {
    let uri = format!("https://limits.example/path/{number}");
    CacheKey::builder().part(CacheKey::METHOD, "GET").part(CacheKey::URI, uri).build()
}

fn head(key: CacheKey) -> StoredHead {
    let mut head = StoredHead::new(key, StatusCode::OK);
    head.headers.insert("content-type", HeaderValue::from_static("application/json"));
    head.headers.insert("etag", HeaderValue::from_static("\"0123456789abcdef\""));
    head
}

async fn store(storage: &MemoryStorage, number: u64, body: Bytes) {
    let head = head(key(number));
    let fence = storage.lookup(&head.key).await.unwrap().fence;
    let mut writer = storage.begin(head, fence).await.unwrap();
    writer.write(body).await.unwrap();
    assert_eq!(writer.publish(larder::entry::BodyEnd::default()).await.unwrap(), Published::Stored);
}

async fn usage(storage: &MemoryStorage) -> Usage {
    Storage::usage(storage).await.unwrap()
}

#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The tests beside it take a few MiB at the same time, which the bound leaves room for.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn limits_hold_over_a_million_urls_and_the_accounting_is_honest() {
    const MAX_BYTES: u64 = 64 * MIB;
    const MAX_ENTRIES: u64 = 50_000;

    // Every body is a slice of a read buffer of its own that is far larger.
    let storage = MemoryStorage::builder().max_bytes(MAX_BYTES).build().unwrap();
    let before = resident();
    for number in 0..60_000 {
        let buffer = Bytes::from(vec![7; 16 * 1024]);
        store(&storage, number, buffer.slice(100..400)).await;
        drop(buffer);
    }
    let used = usage(&storage).await;
    let grown = resident().saturating_sub(before);
    println!("{} responses, {} bytes by its own account, {grown} bytes resident", used.responses, used.bytes);
    assert!(used.bytes <= MAX_BYTES && used.bytes > MAX_BYTES / 2, "{used:?}");
    assert!(grown < MAX_BYTES * 3 / 2, "the process grew by {grown} bytes for {used:?}");
    drop(storage);

    let storage = MemoryStorage::builder().max_bytes(2 * MAX_BYTES).max_entries(MAX_ENTRIES).build().unwrap();
    for number in 0..1_000_000 {
        store(&storage, number, Bytes::from_static(b"{}")).await;
        if number % 10_000 == 0 {
            let used = usage(&storage).await;
            assert!(used.responses <= MAX_ENTRIES && used.bytes <= 2 * MAX_BYTES, "{used:?}");
        }
    }
    let used = usage(&storage).await;
    assert!(used.responses <= MAX_ENTRIES && used.responses > MAX_ENTRIES * 9 / 10, "{used:?}");
}

#[tokio::test]
async fn small_and_large_responses_stay_below_both_limits() {
    let storage =
        MemoryStorage::builder().max_bytes(4 * MIB).max_entries(100).max_body(MIB / 2).build().unwrap();
    for number in 0..2000 {
        let len = if number % 10 == 0 { 200_000 } else { 10 };
        store(&storage, number, Bytes::from(vec![1; len])).await;
        let used = usage(&storage).await;
        assert!(used.responses <= 100 && used.bytes <= 4 * MIB, "{used:?}");
    }
}

#[tokio::test]
async fn a_scan_does_not_flush_what_is_used_often() {
    let storage = MemoryStorage::builder().max_bytes(8 * MIB).build().unwrap();
    for number in 0..500 {
        store(&storage, number, Bytes::from(vec![1; 4000])).await;
    }
    for _ in 0..3 {
        for number in 0..500 {
            storage.lookup(&key(number)).await.unwrap();
        }
    }
    for number in 1_000..50_000 {
        store(&storage, number, Bytes::from(vec![1; 4000])).await;
        // In real life the scan does not stop the others.
        storage.lookup(&key(number % 500)).await.unwrap();
    }
    let mut kept = 0;
    for number in 0..500 {
        kept += storage.lookup(&key(number)).await.unwrap().responses.len();
    }
    assert!(kept >= 450, "{kept} of 500 were kept");
}

#[tokio::test]
async fn a_hit_shares_the_body_with_the_storage() {
    let storage = MemoryStorage::new();
    let frame = Bytes::from(vec![3; 200_000]);
    store(&storage, 1, frame.clone()).await;
    let one = storage.lookup(&key(1)).await.unwrap().responses.remove(0);
    let two = storage.lookup(&key(1)).await.unwrap().responses.remove(0);
    let (StoredBody::Inline(first), StoredBody::Inline(second)) = (&one.body, &two.body) else {
        panic!("one frame is one piece")
    };
    assert_eq!(first.as_ptr(), second.as_ptr());
    assert_eq!(first.as_ptr(), frame.as_ptr(), "nor is a large frame copied when it is stored");
    assert!(std::sync::Arc::ptr_eq(&one.head, &two.head));
}

#[tokio::test]
async fn bodies_being_written_are_bounded_too() {
    let storage = MemoryStorage::builder().max_bytes(2 * MIB).max_body(MIB).build().unwrap();
    let mut writers = Vec::new();
    let error = loop {
        let head = head(key(writers.len() as u64));
        let fence = storage.lookup(&head.key).await.unwrap().fence;
        let mut writer = storage.begin(head, fence).await.unwrap();
        if let Err(error) = writer.write(Bytes::from(vec![0; 900_000])).await {
            break error;
        }
        writers.push(writer);
    };
    assert_eq!(error.kind(), StorageErrorKind::Full);
    assert_eq!(writers.len(), 2);
    drop(writers);
    store(&storage, 9, Bytes::from(vec![0; 900_000])).await;
    assert_eq!(storage.len().await.unwrap(), 1);
}
