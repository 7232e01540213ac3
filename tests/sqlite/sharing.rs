//! Several handles and processes on one file.

use larder::entry::BodyEnd;
use larder::storage::{BodyWriter, Published, SqliteStorage, Storage, StorageErrorKind};

use crate::crash::{Child, ROLE};
use crate::support::*;

#[tokio::test]
async fn two_handles_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let (one, two) = (SqliteStorage::open(&path).unwrap(), SqliteStorage::open(&path).unwrap());
    put(&one, &key("a"), &body(1, 300_000)).await;
    assert_eq!(get(&two, &key("a")).await.unwrap(), body(1, 300_000));

    let mut filling = one.begin(head(&key("b")), fence(&one, &key("b")).await).await.unwrap();
    filling.write(body(2, 300_000)).await.unwrap();
    assert_eq!(two.maintain(larder::clock::Timestamp::EPOCH).await.unwrap().orphans, 0, "it is alive");
    two.remove(&key("b")).await.unwrap();
    assert_eq!(filling.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);
}

#[tokio::test]
async fn a_lock_held_for_long_is_unavailable_and_does_not_stop_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let storage =
        SqliteStorage::builder().busy_timeout(std::time::Duration::from_millis(50)).open(&path).unwrap();
    put(&storage, &key("a"), &body(1, 10)).await;
    let other = plain_sql(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = try_put(&storage, head(&key("b")), &body(1, 10)).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    assert_eq!(get(&storage, &key("a")).await.unwrap(), body(1, 10));
    other.execute_batch("COMMIT").unwrap();
    put(&storage, &key("b"), &body(1, 10)).await;
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Several processes store, read, remove and evict in one file; run by [`processes_share_one_file`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_shares() {
    let Some(path) =
        std::env::var_os(ROLE).filter(|_| std::env::var("LARDER_CHILD").as_deref() == Ok("share"))
    else {
        return;
    };
    let storage = SqliteStorage::builder().max_entries(40).open(path).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..number("LARDER_TASKS", 16) {
        let storage = storage.clone();
        tasks.spawn(async move {
            for round in 0..20 {
                let key = key(&format!("{}", (task * 7 + round) % 60));
                let size = if round % 4 == 0 { 140_000 } else { 2000 };
                let published = try_put(&storage, head(&key), &body(round, size)).await.unwrap();
                if round % 5 == 0 && published == Published::Stored {
                    storage.remove(&key).await.unwrap();
                }
                for response in storage.lookup(&key).await.unwrap().responses {
                    if let Err(error) = read(&storage, &response.head).await {
                        assert_eq!(error.kind(), StorageErrorKind::Missing, "{error}");
                    }
                }
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn processes_share_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let children: Vec<_> = (0..number("LARDER_PROCESSES", 4))
        .map(|_| Child::start("sharing::child_shares", "share", &path))
        .collect();
    for child in children {
        assert!(child.wait().success(), "a process failed");
    }
    let storage = SqliteStorage::builder().max_entries(40).open(&path).unwrap();
    assert!(storage.usage().await.unwrap().responses <= 40);
    storage.maintain(larder::clock::Timestamp::EPOCH).await.unwrap();
    storage.checkpoint().await.unwrap();
    let sql = plain_sql(&path);
    assert_eq!(count(&sql, "SELECT count(*) FROM pending"), 0);
    let counted = count(&sql, "SELECT responses FROM state");
    assert_eq!(counted, count(&sql, "SELECT count(*) FROM responses"));
    let check: String = sql.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
