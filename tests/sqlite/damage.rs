//! Damage of every kind: a miss or an error, never other bytes, never a panic, and a cache that works again.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use larder::storage::{SqliteStorage, Storage, StorageErrorKind};

use crate::support::*;

const NAMES: [&str; 4] = ["tiny", "small", "medium", "large"];
const SIZES: [usize; 4] = [10, 10_000, 100_000, 600_000];

async fn fill(path: &Path) {
    let storage = SqliteStorage::open(path).unwrap();
    for (seed, (name, size)) in NAMES.into_iter().zip(SIZES).enumerate() {
        put(&storage, &key(name), &body(seed as u64, size)).await;
    }
    for number in 0..200 {
        put(&storage, &key(&format!("filler{number}")), &body(number, 3000)).await;
    }
}

/// Everything that can be read is right, and the storage takes what is stored anew.
async fn is_right_or_missing(path: &Path, what: &str) {
    let storage = match SqliteStorage::open(path) {
        Ok(storage) => storage,
        // The header is gone: then it is no database of ours any more, and not to be touched.
        Err(error) => {
            assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{what}: {error}");
            return;
        }
    };
    for (seed, (name, size)) in NAMES.into_iter().zip(SIZES).enumerate() {
        for response in storage.lookup(&key(name)).await.unwrap().responses {
            match read(&storage, &response.head).await {
                Ok(found) => assert_eq!(found, body(seed as u64, size), "{what}"),
                Err(error) => assert!(
                    matches!(error.kind(), StorageErrorKind::Corrupt | StorageErrorKind::Missing),
                    "{what}: {error}"
                ),
            }
        }
    }
    for number in 0..200 {
        let _ = storage.lookup(&key(&format!("filler{number}"))).await.unwrap();
    }
    // The first may meet the damage; the database is then mended.
    let _ = try_put(&storage, head(&key("new")), &body(9, 200_000)).await;
    storage.checkpoint().await.ok();
    let stored = try_put(&storage, head(&key("new")), &body(9, 200_000)).await;
    assert!(stored.is_ok(), "{what}: {stored:?}");
    assert_eq!(get(&storage, &key("new")).await, Some(body(9, 200_000)), "{what}");
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_never_yields_wrong_bytes_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole.db");
    fill(&whole).await;
    let len = std::fs::metadata(&whole).unwrap().len();
    let path = directory.path().join("x.db");
    let fresh = || {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        std::fs::copy(&whole, &path).unwrap();
    };
    for cut in [512, 4096, 8192, 100_000, len / 2, len - 8192, len - 50] {
        fresh();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len - cut).unwrap();
        is_right_or_missing(&path, &format!("cut by {cut}")).await;
    }
    for page in (0..len / 8192).step_by(2) {
        fresh();
        let garbage = body(page, 4096);
        overwrite(&path, page * 8192 + 200, &garbage[..(page % 37 + 1) as usize * 100]);
        is_right_or_missing(&path, &format!("garbage in page {page}")).await;
        if page % 8 == 0 {
            fresh();
            overwrite(&path, page * 8192, &[0; 8192]);
            is_right_or_missing(&path, &format!("zeros in page {page}")).await;
        }
    }
}

#[tokio::test]
async fn a_torn_log_yields_an_older_state() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.db");
    let storage = SqliteStorage::open(&source).unwrap();
    put(&storage, &key("tiny"), &body(0, 10)).await;
    storage.checkpoint().await.unwrap();
    for (seed, (name, size)) in NAMES.into_iter().zip(SIZES).enumerate() {
        put(&storage, &key(name), &body(seed as u64, size)).await;
    }
    let log = std::fs::read(format!("{}-wal", source.display())).unwrap();
    assert!(log.len() > 100_000);
    for round in 0..40_u64 {
        let path = directory.path().join(format!("{round}.db"));
        std::fs::copy(&source, &path).unwrap();
        let mut torn = log.clone();
        let at = (round as usize * 7919 * 13) % torn.len();
        match round % 3 {
            0 => torn.truncate(at),
            1 => torn[at..].iter_mut().take(4096).for_each(|byte| *byte = 0),
            _ => torn[at] ^= 0x40,
        }
        std::fs::write(format!("{}-wal", path.display()), torn).unwrap();
        is_right_or_missing(&path, &format!("log, round {round}")).await;
        assert!(SqliteStorage::open(&path).is_ok());
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_row_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let sql = plain_sql(&path);
    for (column, table) in [("head", "responses"), ("body", "responses"), ("data", "chunks")] {
        let size = if table == "chunks" { 20_000 } else { 300 };
        storage.clear(None).await.unwrap();
        put(&storage, &key("a"), &body(1, size)).await;
        let read_blob = format!("SELECT {column} FROM {table}");
        let blob: Vec<u8> = sql.query_row(&read_blob, [], |row| row.get(0)).unwrap();
        let step = if table == "chunks" { 997 } else { 3 };
        for bit in (0..blob.len() * 8).step_by(step) {
            if column == "head" && bit / 8 == 3 {
                // The version: what another one wrote is a miss too, but stays.
                continue;
            }
            storage.clear(None).await.unwrap();
            let stored = put(&storage, &key("a"), &body(1, size)).await;
            let mut blob: Vec<u8> = sql.query_row(&read_blob, [], |row| row.get(0)).unwrap();
            blob[bit / 8] ^= 1 << (bit % 8);
            sql.execute(&format!("UPDATE {table} SET {column} = ?1"), [blob]).unwrap();
            if table == "chunks" {
                let error = read(&storage, &stored).await.unwrap_err();
                assert_eq!(error.kind(), StorageErrorKind::Corrupt, "{column} bit {bit}");
                assert!(!freshen(&storage, stored).await);
                assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty(), "it is removed");
            } else {
                assert!(get(&storage, &key("a")).await.is_none(), "{column} bit {bit}");
                storage.checkpoint().await.unwrap();
                assert_eq!(count(&sql, "SELECT count(*) FROM responses"), 0, "the row is removed");
            }
        }
    }
}

#[tokio::test]
async fn a_row_under_anothers_key_or_a_chunk_in_anothers_place_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let one = put(&storage, &key("a"), &body(1, 300_000)).await;
    put(&storage, &key("b"), &body(2, 300_000)).await;
    let sql = plain_sql(&path);
    sql.execute_batch(
        "UPDATE chunks SET data = (SELECT data FROM chunks AS other WHERE other.seq = 1 - chunks.seq
                                   AND other.body = chunks.body) WHERE seq = 0;
         UPDATE responses SET hash = (SELECT hash FROM responses WHERE url LIKE '%/a')",
    )
    .unwrap();
    assert!(get(&storage, &key("b")).await.is_none());
    assert_eq!(storage.lookup(&key("a")).await.unwrap().responses.len(), 1);
    assert_eq!(read(&storage, &one).await.unwrap_err().kind(), StorageErrorKind::Corrupt);
}

#[tokio::test]
async fn a_chunk_that_is_missing_is_an_error_and_never_a_short_body() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let stored = put(&storage, &key("a"), &body(1, 500_000)).await;
    let sql = plain_sql(&path);
    sql.execute("DELETE FROM chunks WHERE seq = 3", []).unwrap();
    assert_eq!(read(&storage, &stored).await.unwrap_err().kind(), StorageErrorKind::Missing);
    let stored = put(&storage, &key("a"), &body(1, 500_000)).await;
    sql.execute("DELETE FROM chunks", []).unwrap();
    assert_eq!(read(&storage, &stored).await.unwrap_err().kind(), StorageErrorKind::Missing);
}

/// Somebody who can write to the file plants lengths, counts and places that nothing of ours would have.
#[tokio::test]
async fn planted_numbers_cost_nothing_and_stop_nothing() {
    let planted = [
        "UPDATE responses SET size = 9223372036854775807, body_length = 9223372036854775807",
        "UPDATE responses SET size = -9223372036854775807, body_length = -1",
        "UPDATE responses SET chunked = 9223372036854775807",
        "UPDATE responses SET size = 1e300",
        "UPDATE state SET responses = 9223372036854775807, response_bytes = 9223372036854775807",
        "UPDATE state SET responses = -5, response_bytes = -5",
        "UPDATE state SET invalidations = 9223372036854775807",
        "UPDATE state SET responses = 4611686018427387904, response_bytes = 4611686018427387904",
        "UPDATE state SET fence = 9223372036854775807",
        "UPDATE chunks SET seq = 9223372036854775807 WHERE seq = 0",
        "INSERT INTO pending (body, owner, process, touched) VALUES (7, 7, '7', -9223372036854775807)",
    ];
    for sql in planted.into_iter().map(Some).chain([None]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.db");
        let storage = SqliteStorage::open(&path).unwrap();
        let stored = put(&storage, &key("planted"), &body(1, 600_000)).await;
        put(&storage, &key("small"), &body(2, 100)).await;
        drop(storage);
        let other = plain_sql(&path);
        match sql {
            // A constraint of the schema may refuse it, which is as well.
            Some(sql) => drop(other.execute(sql, [])),
            // A head that claims a body of 2^64-1 bytes.
            None => {
                let mut head = stored.clone();
                head.body = Some(larder::entry::BodySummary { len: u64::MAX, checksum: 0 });
                let head = larder::entry::codec::encode(&head);
                other.execute("UPDATE responses SET head = ?1 WHERE chunked IS NOT NULL", [head]).unwrap();
            }
        }
        drop(other);
        let work = async {
            let storage = SqliteStorage::builder().max_bytes(10 << 20).open(&path).unwrap();
            let found = storage.lookup(&key("planted")).await.unwrap();
            for response in found.responses {
                let mut reader = match storage.open(&response.head).await {
                    Ok(reader) => reader,
                    Err(_) => continue,
                };
                while larder::storage::BodyReader::next(&mut reader).await.is_ok_and(|piece| piece.is_some())
                {
                }
            }
            let _ = storage.usage().await;
            let _ = storage.responses(None, 10).await;
            let _ = storage.maintain(larder::clock::Timestamp::from_secs(1)).await;
            let _ = storage.invalidate(&[larder::entry::GroupId::of_target("http://example.com/")]).await;
            let _ = storage.remove(&key("planted")).await;
            let _ = try_put(&storage, head(&key("new")), &body(9, 200_000)).await;
            storage.checkpoint().await.ok();
            storage
        };
        let storage = tokio::time::timeout(std::time::Duration::from_secs(60), work).await.expect("bounded");
        let stored = try_put(&storage, head(&key("new")), &body(9, 200_000)).await;
        let found = get(&storage, &key("new")).await == Some(body(9, 200_000));
        assert!(found, "{sql:?}: {stored:?}");
        let _ = storage.remove(&key("new")).await;
        let usage = storage.usage().await.unwrap();
        assert!(usage.bytes < 10 << 20, "{sql:?}: {usage:?}");
    }
}
