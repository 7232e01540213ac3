//! Limits hold, and what was used of late stays.

use larder::entry::BodyEnd;
use larder::storage::{BodyWriter, Published, SqliteStorage, Storage, StorageErrorKind};

use crate::support::*;

#[tokio::test]
async fn limits_hold_under_many_inserts() {
    let (entries, bytes) = (500, 400_000);
    for storage in [
        SqliteStorage::builder().max_entries(entries).max_bytes(bytes).in_memory().unwrap(),
        SqliteStorage::builder().max_entries(entries).max_bytes(bytes).temporary().unwrap(),
    ] {
        let body = body(1, 1000);
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..50 {
            let (storage, body) = (storage.clone(), body.clone());
            tasks.spawn(async move {
                for number in 0..400 {
                    put(&storage, &key(&format!("{task}/{number}")), &body).await;
                    let usage = storage.usage().await.unwrap();
                    assert!(usage.responses <= entries && usage.bytes <= bytes, "{usage:?}");
                }
            });
        }
        tasks.join_all().await;
        let usage = storage.usage().await.unwrap();
        assert!(usage.bytes > bytes / 2, "{usage:?}");
        assert!(storage.size().await.unwrap() < 20_000_000);
    }
}

#[tokio::test]
async fn what_was_used_stays_and_the_unused_goes() {
    let storage = SqliteStorage::builder().max_entries(10).in_memory().unwrap();
    for number in 0..10 {
        put(&storage, &key(&format!("{number}")), &body(number, 100)).await;
    }
    for number in [0, 3, 7] {
        assert!(get(&storage, &key(&format!("{number}"))).await.is_some());
    }
    for number in 10..15 {
        put(&storage, &key(&format!("{number}")), &body(number, 100)).await;
    }
    for number in [0, 3, 7, 14] {
        assert!(storage.lookup(&key(&format!("{number}"))).await.unwrap().responses.len() == 1, "{number}");
    }
    assert_eq!(storage.usage().await.unwrap().responses, 10);
}

#[tokio::test]
async fn a_limit_lowered_at_opening_is_kept_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let storage = SqliteStorage::open(&path).unwrap();
    for number in 0..3000 {
        put(&storage, &key(&format!("{number}")), &body(number, 10)).await;
    }
    drop(storage);
    let storage = SqliteStorage::builder().max_entries(100).open(&path).unwrap();
    for _ in 0..5 {
        storage.checkpoint().await.unwrap();
    }
    assert!(storage.usage().await.unwrap().responses <= 100);
}

#[tokio::test]
async fn two_handles_keep_one_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let open = || SqliteStorage::builder().max_entries(50).open(&path).unwrap();
    let handles = [open(), open()];
    for number in 0..300 {
        put(&handles[number % 2], &key(&format!("{number}")), &body(1, 100)).await;
        assert!(handles[0].usage().await.unwrap().responses <= 50);
    }
}

#[tokio::test]
async fn too_large_a_body_is_refused_announced_or_not() {
    let storage = SqliteStorage::builder().max_body(200_000).temporary().unwrap();
    let mut announced = head(&key("a"));
    announced.body = Some(larder::entry::BodySummary { len: 200_001, checksum: 0 });
    let error = storage.begin(announced, Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::TooLarge);

    let mut writer = storage.begin(head(&key("a")), fence(&storage, &key("a")).await).await.unwrap();
    writer.write(body(1, 200_000)).await.unwrap();
    assert_eq!(writer.write(body(1, 1)).await.unwrap_err().kind(), StorageErrorKind::TooLarge);
    assert!(writer.publish(BodyEnd::default()).await.is_err());
    assert!(get(&storage, &key("a")).await.is_none());
    storage.checkpoint().await.unwrap();
    storage.checkpoint().await.unwrap();
    assert_eq!(count(&plain_sql(storage.path().unwrap()), "SELECT count(*) FROM chunks"), 0);
}

#[tokio::test]
async fn variants_of_one_key_are_capped() {
    use bytes::Bytes;
    use larder::key::{Selecting, SelectingField, SelectingValue};
    let storage = SqliteStorage::in_memory().unwrap();
    for number in 0..100 {
        let mut head = head(&key("a"));
        let value = SelectingValue::Plain(Bytes::from(format!("agent{number}")));
        let field = SelectingField { name: http::header::USER_AGENT, value };
        head.selecting = Selecting { any: false, fields: vec![field] };
        assert_eq!(try_put(&storage, head, &body(number, 10)).await.unwrap(), Published::Stored);
    }
    let found = storage.lookup(&key("a")).await.unwrap().responses;
    assert_eq!(found.len(), 32);
    let value = |at: usize| found[at].head.selecting.fields[0].value.clone();
    assert_eq!(value(0), SelectingValue::Plain(Bytes::from_static(b"agent99")), "the newest comes first");
}

#[tokio::test]
async fn beyond_the_variants_of_a_key_the_least_recently_published_go() {
    let storage = SqliteStorage::builder().max_variants(2).in_memory().unwrap();
    for language in ["en", "fr", "de"] {
        let mut head = head(&key("a"));
        head.selecting.fields.push(larder::key::SelectingField {
            name: http::header::ACCEPT_LANGUAGE,
            value: larder::key::SelectingValue::Plain(language.into()),
        });
        let fence = fence(&storage, &key("a")).await;
        let mut writer = storage.begin(head, fence).await.unwrap();
        writer.write(language.into()).await.unwrap();
        assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    }
    let mut bodies = Vec::new();
    for response in storage.lookup(&key("a")).await.unwrap().responses {
        let larder::entry::StoredBody::Inline(body) = response.body else { panic!("a small body is inline") };
        bodies.push(body);
    }
    assert_eq!(bodies, ["de", "fr"]);
}
