//! Storing, finding, streaming; what plain SQL sees.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use larder::clock::Timestamp;
use larder::entry::{Alias, BodyEnd, BodySummary, Group, GroupId, StoredBody, StoredHead, StoredResponse};
use larder::storage::{
    BodyReader, BodyWriter, Keyspace, Published, SqliteStorage, Storage, StorageErrorKind,
};

use crate::support::*;

#[tokio::test]
async fn bodies_of_every_size_come_back_as_they_were() {
    for storage in [SqliteStorage::in_memory().unwrap(), SqliteStorage::temporary().unwrap()] {
        let sizes = [0, 1, 16383, 16384, 16385, 131_071, 131_072, 131_073, 262_144, 1 << 20, 5_000_001];
        for (seed, size) in sizes.into_iter().enumerate() {
            let (key, body) = (key(&format!("size{size}")), body(seed as u64, size));
            put(&storage, &key, &body).await;
            assert_eq!(get(&storage, &key).await.unwrap(), body, "{size} bytes");
        }
        let usage = storage.usage().await.unwrap();
        assert_eq!(usage.responses, sizes.len() as u64);
        assert!(usage.bytes > sizes.iter().sum::<usize>() as u64);
        assert!(storage.size().await.unwrap() > usage.bytes);
    }
}

#[tokio::test]
async fn a_publication_replaces_its_equals_and_frees_their_chunks() {
    let storage = SqliteStorage::temporary().unwrap();
    let key = key("a");
    let old = put(&storage, &key, &body(1, 1 << 20)).await;
    let mut reading = storage.open(&old).await.unwrap();
    let first = reading.next().await.unwrap().unwrap();
    put(&storage, &key, &body(2, 1 << 20)).await;
    assert_eq!(get(&storage, &key).await.unwrap(), body(2, 1 << 20));
    assert_eq!(storage.usage().await.unwrap().responses, 1);
    assert_eq!(storage.open(&old).await.unwrap_err().kind(), StorageErrorKind::Missing);

    // The reader that was open gets the old body to its end.
    let mut rest = first.to_vec();
    while let Some(piece) = reading.next().await.unwrap() {
        rest.extend_from_slice(&piece);
    }
    assert_eq!(rest, body(1, 1 << 20));
    drop(reading);
    storage.checkpoint().await.unwrap();
    storage.maintain(Timestamp::EPOCH).await.unwrap();
    storage.checkpoint().await.unwrap();
    let sql = plain_sql(storage.path().unwrap());
    assert_eq!(count(&sql, "SELECT count(DISTINCT body) FROM chunks"), 1, "the old chunks are gone");
}

#[tokio::test]
async fn aborted_and_dropped_writers_leave_nothing() {
    let storage = SqliteStorage::temporary().unwrap();
    for drop_it in [false, true] {
        let key = key("a");
        let mut writer = storage.begin(head(&key), fence(&storage, &key).await).await.unwrap();
        writer.write(body(1, 1 << 20)).await.unwrap();
        if drop_it {
            drop(writer);
        } else {
            writer.abort().await;
        }
        storage.checkpoint().await.unwrap();
        storage.checkpoint().await.unwrap();
        let sql = plain_sql(storage.path().unwrap());
        assert_eq!(count(&sql, "SELECT count(*) FROM chunks"), 0);
        assert_eq!(count(&sql, "SELECT count(*) FROM pending"), 0);
        assert!(get(&storage, &key).await.is_none());
    }
}

#[tokio::test]
async fn freshening_changes_the_head_of_that_id_alone_and_leaves_the_body() {
    let storage = SqliteStorage::in_memory().unwrap();
    let key = key("a");
    let old = put(&storage, &key, &body(1, 300_000)).await;
    let mut fresh = old.clone();
    fresh.headers.insert("etag", HeaderValue::from_static("\"v2\""));
    fresh.response_time = Timestamp::from_secs(9);
    fresh.body = None;
    assert!(freshen(&storage, fresh.clone()).await);
    let found = storage.lookup(&key).await.unwrap();
    assert_eq!(found.responses[0].head.headers["etag"], "\"v2\"");
    assert_eq!(found.responses[0].head.body, old.body);
    assert_eq!(get(&storage, &key).await.unwrap(), body(1, 300_000));
    put(&storage, &key, &body(2, 10)).await;
    assert!(!freshen(&storage, fresh).await, "another id is stored now");
}

#[tokio::test]
async fn removal_and_clear_fence_off_fills() {
    let storage = SqliteStorage::temporary().unwrap();
    let key = key("a");
    for round in 0..3 {
        let mut writer = storage.begin(head(&key), fence(&storage, &key).await).await.unwrap();
        writer.write(body(1, 200_000)).await.unwrap();
        match round {
            0 => assert!(!storage.remove(&key).await.unwrap()),
            1 => storage.clear(None).await.unwrap(),
            _ => storage.clear(Some(Keyspace::Responses)).await.unwrap(),
        }
        assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);
        assert!(get(&storage, &key).await.is_none());
    }
    // Another key's removal and the other keyspace's clearing are none of its business.
    let writer = storage.begin(head(&key), fence(&storage, &key).await).await.unwrap();
    storage.remove(&crate::support::key("b")).await.unwrap();
    storage.clear(Some(Keyspace::Aliases)).await.unwrap();
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    storage.checkpoint().await.unwrap();
    storage.checkpoint().await.unwrap();
    assert_eq!(count(&plain_sql(storage.path().unwrap()), "SELECT count(*) FROM chunks"), 0);
}

#[tokio::test]
async fn old_fences_are_refused_after_many_removals() {
    let storage = SqliteStorage::in_memory().unwrap();
    let key = key("a");
    let writer = storage.begin(head(&key), fence(&storage, &key).await).await.unwrap();
    storage.remove(&key).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6000 {
        let storage = storage.clone();
        tasks.spawn(async move { storage.remove(&crate::support::key(&format!("{number}"))).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);
}

fn alias(from: &str, to: &str) -> Alias {
    let mut head = StoredHead::new(key(from), StatusCode::FOUND);
    let text = Bytes::from_static(b"moved");
    head.body = Some(BodySummary::of(&text));
    let response =
        StoredResponse { head: Arc::new(head), body: StoredBody::Inline(text), invalidated: false };
    Alias { response, target: key(to) }
}

#[tokio::test]
async fn aliases_are_found_replaced_listed_and_removed() {
    let storage = SqliteStorage::in_memory().unwrap();
    for target in ["b", "c"] {
        let fence = fence(&storage, &key("a")).await;
        assert_eq!(storage.put_alias(alias("a", target), fence).await.unwrap(), Published::Stored);
    }
    let found = storage.lookup(&key("a")).await.unwrap();
    assert!(found.responses.is_empty());
    let found = found.alias.unwrap();
    assert_eq!(found.target, key("c"));
    assert!(matches!(&found.response.body, StoredBody::Inline(body) if body == "moved"));
    let page = storage.aliases(None, 10).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(read(&storage, &found.response.head).await.unwrap(), "moved");

    let fence = fence(&storage, &key("a")).await;
    assert!(storage.remove_entry(&key("a"), found.response.head.id).await.unwrap());
    assert!(storage.lookup(&key("a")).await.unwrap().alias.is_none());
    storage.clear(Some(Keyspace::Aliases)).await.unwrap();
    assert_eq!(storage.put_alias(alias("a", "b"), fence).await.unwrap(), Published::Superseded);
    assert_eq!(storage.usage().await.unwrap().aliases, 0);
}

#[tokio::test]
async fn an_invalidation_marks_earlier_responses_by_its_number_and_not_by_times() {
    let storage = SqliteStorage::in_memory().unwrap();
    let group = Group { origin: "https://example.com".into(), name: "g'; DROP TABLE responses".into() };
    for (name, seconds) in [("before", 1_000_000), ("after", 1)] {
        let mut head = head(&key(name));
        head.response_time = Timestamp::from_secs(seconds);
        head.groups = vec![group.clone()];
        assert_eq!(try_put(&storage, head, &body(1, 10)).await.unwrap(), Published::Stored);
        if name == "before" {
            storage.invalidate(&[GroupId::of(&group)]).await.unwrap();
        }
    }
    assert!(storage.lookup(&key("before")).await.unwrap().responses[0].invalidated);
    assert!(!storage.lookup(&key("after")).await.unwrap().responses[0].invalidated);
}

#[tokio::test]
async fn listings_show_everything_once() {
    let storage = SqliteStorage::in_memory().unwrap();
    for number in 0..25 {
        put(&storage, &key(&format!("{number}")), &body(number, 20_000)).await;
    }
    let (mut seen, mut next) = (std::collections::BTreeSet::new(), None);
    loop {
        let page = storage.responses(next.as_ref(), 10).await.unwrap();
        for head in page.items {
            assert!(seen.insert(head.uri));
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    let foreign = larder::storage::Cursor(Bytes::from_static(b"x"));
    assert_eq!(storage.responses(Some(&foreign), 1).await.unwrap_err().kind(), StorageErrorKind::Invalid);
}

#[tokio::test]
async fn maintain_removes_what_is_no_longer_usable() {
    let storage = SqliteStorage::temporary().unwrap();
    for number in 0..3000 {
        let mut head = head(&key(&format!("{number}")));
        head.usable_until = Timestamp::from_secs(if number % 3 == 0 { 100 } else { 200 });
        assert_eq!(try_put(&storage, head, &body(number, 10)).await.unwrap(), Published::Stored);
    }
    let maintained = storage.maintain(Timestamp::from_secs(150)).await.unwrap();
    assert_eq!((maintained.expired, maintained.orphans), (1000, 0));
    assert_eq!(storage.usage().await.unwrap().responses, 2000);
}

#[tokio::test]
async fn plain_sql_reads_and_may_delete() {
    let storage = SqliteStorage::temporary().unwrap();
    let mut head = head(&key("readable?q=1"));
    head.response_time = Timestamp::from_secs(1_700_000_000);
    assert_eq!(try_put(&storage, head, &body(1, 200_000)).await.unwrap(), Published::Stored);
    put(&storage, &key("other"), &body(2, 10)).await;
    let fence = fence(&storage, &key("from")).await;
    assert_eq!(storage.put_alias(alias("from", "to"), fence).await.unwrap(), Published::Stored);

    let sql = plain_sql(storage.path().unwrap());
    let row: (String, String, i64, String) = sql
        .query_row(
            "SELECT url, method, status, received FROM responses WHERE body_length > 1000",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    let url = "https://example.com/readable?q=1".to_owned();
    assert_eq!(row, (url, "GET".to_owned(), 200, "2023-11-14T22:13:20Z".to_owned()));
    let target: String = sql.query_row("SELECT target FROM redirects", [], |row| row.get(0)).unwrap();
    assert_eq!(target, "https://example.com/to");

    sql.execute("DELETE FROM responses WHERE url LIKE '%readable%'", []).unwrap();
    assert!(get(&storage, &key("readable?q=1")).await.is_none());
    let usage = storage.usage().await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (1, 1), "the counters follow");
    storage.checkpoint().await.unwrap();
    storage.checkpoint().await.unwrap();
    assert_eq!(count(&sql, "SELECT count(*) FROM chunks"), 0);
}

#[tokio::test]
async fn vacuum_gives_room_back() {
    let storage = SqliteStorage::temporary().unwrap();
    put(&storage, &key("large"), &body(1, 4 << 20)).await;
    put(&storage, &key("small"), &body(2, 100)).await;
    assert!(storage.remove(&key("large")).await.unwrap());
    storage.vacuum().await.unwrap();
    assert!(storage.size().await.unwrap() < 1 << 20);
    assert_eq!(get(&storage, &key("small")).await.unwrap(), body(2, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_read_and_write_at_once() {
    for storage in [SqliteStorage::in_memory().unwrap(), SqliteStorage::temporary().unwrap()] {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..64_u64 {
            let storage = storage.clone();
            tasks.spawn(async move {
                for round in 0..10 {
                    let key = key(&format!("{}", (task + round) % 16));
                    let size = if round % 5 == 0 { 150_000 } else { 1000 };
                    put(&storage, &key, &body(task * 100 + round, size)).await;
                    // Others replace it: then it may be gone, but it is never another one's.
                    let lookup = storage.lookup(&key).await.unwrap();
                    for response in lookup.responses {
                        match read(&storage, &response.head).await {
                            Ok(_) => {}
                            Err(error) => assert_eq!(error.kind(), StorageErrorKind::Missing),
                        }
                    }
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(storage.usage().await.unwrap().responses, 16);
    }
}

#[test]
fn works_without_a_runtime_of_tokio() {
    let storage = SqliteStorage::temporary().unwrap();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut future = Box::pin(async {
        put(&storage, &key("a"), &body(1, 300_000)).await;
        assert_eq!(get(&storage, &key("a")).await.unwrap(), body(1, 300_000));
        storage.usage().await.unwrap()
    });
    loop {
        if let std::task::Poll::Ready(usage) = future.as_mut().poll(&mut context) {
            assert_eq!(usage.responses, 1);
            break;
        }
        std::thread::yield_now();
    }
}
