//! What can be opened, and what is refused and left as it is.

use larder::storage::{SqliteStorage, Storage, StorageErrorKind};

use crate::support::*;

#[tokio::test]
async fn a_reopened_file_has_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file:odd name?mode=memory.db");
    let storage = SqliteStorage::open(&path).unwrap();
    put(&storage, &key("a"), &body(1, 100)).await;
    put(&storage, &key("b"), &body(2, 1_000_000)).await;
    drop(storage);
    let storage = SqliteStorage::open(&path).unwrap();
    assert_eq!(get(&storage, &key("a")).await.unwrap(), body(1, 100));
    assert_eq!(get(&storage, &key("b")).await.unwrap(), body(2, 1_000_000));
    drop(storage);
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "the log is gone with the last connection");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let storage = SqliteStorage::temporary().unwrap();
    let path = storage.path().unwrap().to_owned();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("{}{suffix}", path.display());
        assert_eq!(std::fs::metadata(name).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(storage);
    assert!(!path.exists(), "a temporary file is deleted");
}

#[test]
fn what_is_not_ours_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let refuse = |what: &str| {
        let before = std::fs::read(&path).unwrap();
        for read_only in [false, true] {
            let error = SqliteStorage::builder().read_only(read_only).open(&path).unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{what}: {error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before, "{what}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "{what}");
    };
    std::fs::write(&path, "hello").unwrap();
    refuse("a short text");
    std::fs::write(&path, body(1, 100_000)).unwrap();
    refuse("garbage");
    std::fs::remove_file(&path).unwrap();

    for mode in ["DELETE", "WAL"] {
        let foreign = plain_sql(&path);
        foreign.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        foreign.execute_batch("CREATE TABLE IF NOT EXISTS t (x)").unwrap();
        foreign.close().unwrap();
        refuse("another program's database");
    }
    std::fs::remove_file(&path).unwrap();

    drop(SqliteStorage::open(&path).unwrap());
    let newer = plain_sql(&path);
    newer.pragma_update(None, "user_version", 999).unwrap();
    newer.close().unwrap();
    refuse("a newer version");
}

#[tokio::test]
async fn a_read_only_storage_reads_and_refuses_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let missing = SqliteStorage::builder().read_only(true).open(&path).unwrap_err();
    assert_eq!(missing.kind(), StorageErrorKind::Unavailable, "{missing}");
    let writing = SqliteStorage::open(&path).unwrap();
    put(&writing, &key("a"), &body(1, 300_000)).await;
    for keep in [true, false] {
        if !keep {
            writing.checkpoint().await.unwrap();
        }
        let reading = SqliteStorage::builder().read_only(true).open(&path).unwrap();
        assert_eq!(get(&reading, &key("a")).await.unwrap(), body(1, 300_000));
        let error = reading.remove(&key("a")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::ReadOnly);
        let error = reading.begin(head(&key("b")), Default::default()).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::ReadOnly);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_that_cannot_be_written_is_named() {
    let error = SqliteStorage::open("/proc/larder.db").unwrap_err();
    assert!(error.to_string().contains("/proc/larder.db"), "{error}");
    let error = SqliteStorage::open("/").unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Invalid, "{error}");
    let error = SqliteStorage::open("/no/such/directory/x.db").unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
}

/// A user whom permissions bind, which the one who runs the tests in a container often is not.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_read_only_directory_or_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let storage = SqliteStorage::open(&path).unwrap();
    put(&storage, &key("a"), &body(1, 10)).await;
    drop(storage);
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&path, 0o444);
    mode(directory.path(), 0o555);
    if std::fs::write(directory.path().join("probe"), "").is_ok() {
        eprintln!("skipped: permissions do not bind this user");
        return;
    }
    let error = SqliteStorage::open(&path).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly, "{error}");
    let error = SqliteStorage::open(directory.path().join("new.db")).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    let reading = SqliteStorage::builder().read_only(true).open(&path).unwrap();
    assert_eq!(get(&reading, &key("a")).await.unwrap(), body(1, 10));
    mode(directory.path(), 0o755);
}

#[test]
fn an_impossible_value_is_an_error_that_says_what_is_possible() {
    use std::time::Duration;
    let new = SqliteStorage::builder;
    let table = [
        (new().max_bytes(0), "max_bytes is 0; possible: at least 1, or no limit"),
        (new().max_entries(0), "max_entries is 0; possible: at least 1, or no limit"),
        (new().max_bytes(10).max_body(11), "max_body is 11; possible: at most max_bytes, which is 10"),
        (new().max_variants(0), "max_variants is 0; possible: 1 to 65535"),
        (new().max_variants(65536), "max_variants is 65536; possible: 1 to 65535"),
        (new().inline_threshold(131_073), "inline_threshold is 131073; possible: 0 to 131072"),
        (new().page_size(1000), "page_size is 1000; possible: powers of two from 512 to 65536"),
        (new().page_size(256), "page_size is 256; possible: powers of two from 512 to 65536"),
        (new().page_size(131_072), "page_size is 131072; possible: powers of two from 512 to 65536"),
        (new().readers(0), "readers is 0; possible: 1 to 64"),
        (new().readers(65), "readers is 65; possible: 1 to 64"),
        (new().mmap_size(1 << 40), "mmap_size is 1099511627776; possible: 0 to 2147418112"),
        (new().cache_size(1 << 41), "cache_size is 2199023255552; possible: 0 to 2199023254528"),
        (
            new().busy_timeout(Duration::from_millis(1 << 31)),
            "busy_timeout is 2147483648 ms; possible: at most 2147483647 ms",
        ),
        (new().read_only(true), "read_only is true; possible: false for a new database"),
    ];
    for (builder, why) in table {
        let error = builder.in_memory().unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{error}");
        assert_eq!(error.to_string(), format!("sqlite storage: the option {why} (invalid)"));
    }
    for name in ["", "..", "a/b", "/etc"] {
        let error = SqliteStorage::in_user_cache_dir(name).unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{name:?}");
    }
}

#[tokio::test]
async fn values_at_their_limits_are_taken() {
    use std::time::Duration;
    let directory = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::builder()
        .max_bytes(1 << 20)
        .max_body(1 << 20)
        .max_entries(1)
        .max_variants(65535)
        .inline_threshold(131_072)
        .page_size(65536)
        .readers(64)
        .mmap_size(2_147_418_112)
        .cache_size(2_199_023_254_528)
        .busy_timeout(Duration::from_millis((1 << 31) - 1))
        .open(directory.path().join("x.db"))
        .unwrap();
    put(&storage, &key("a"), &body(1, 1000)).await;
    assert_eq!(get(&storage, &key("a")).await.unwrap(), body(1, 1000));
    drop(storage);
    SqliteStorage::builder().busy_timeout(Duration::MAX).open("x.db").unwrap_err();
}

/// The message, and nothing below it that says the same again.
#[test]
fn an_error_says_everything_once() {
    let error = SqliteStorage::open("/no/such/directory/x.db").unwrap_err();
    assert_eq!(
        error.to_string(),
        "sqlite storage: opening /no/such/directory/x.db: the file cannot be created: No such file or directory (os error 2) (unavailable)"
    );
    assert!(std::error::Error::source(&error).is_none());
    let error = SqliteStorage::builder().read_only(true).open("/no/such/directory/x.db").unwrap_err();
    assert_eq!(
        error.to_string(),
        "sqlite storage: opening /no/such/directory/x.db: SQLite error 14: unable to open database file (unavailable)"
    );
    assert!(std::error::Error::source(&error).is_none());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    std::fs::write(&path, "this is a text of some length, and no database").unwrap();
    let error = SqliteStorage::open(&path).unwrap_err();
    let expected = format!(
        "sqlite storage: opening {}: SQLite error 26: file is not a database (incompatible)",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn every_option_is_taken() {
    use larder::storage::sqlite::Synchronous;
    let directory = tempfile::tempdir().unwrap();
    for (number, wal) in [true, false].into_iter().enumerate() {
        let storage = SqliteStorage::builder()
            .wal(wal)
            .synchronous(Synchronous::Full)
            .mmap_size(1 << 20)
            .cache_size(1 << 20)
            .page_size(16384)
            .readers(1)
            .inline_threshold(0)
            .open(directory.path().join(format!("{number}.db")))
            .unwrap();
        put(&storage, &key("a"), &body(1, 1)).await;
        put(&storage, &key("b"), &body(1, 500_000)).await;
        assert_eq!(get(&storage, &key("a")).await.unwrap(), body(1, 1));
        assert_eq!(get(&storage, &key("b")).await.unwrap(), body(1, 500_000));
        let sql = plain_sql(storage.path().unwrap());
        assert_eq!(count(&sql, "PRAGMA page_size"), 16384);
        let mode: String = sql.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, if wal { "wal" } else { "delete" });
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_others_could_have_prepared_is_refused_unless_it_is_trusted() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache.db");
    put(&SqliteStorage::open(&path).unwrap(), &key("a"), &body(1, 100)).await;
    let refused = |path: &std::path::Path| {
        for read_only in [false, true] {
            let error = SqliteStorage::builder().read_only(read_only).open(path).unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
        }
    };
    let trusted = async |path: &std::path::Path| {
        let storage = SqliteStorage::builder().trust_file(true).open(path).unwrap();
        assert_eq!(get(&storage, &key("a")).await, Some(body(1, 100)));
    };

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    refused(&path);
    trusted(&path).await;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();

    let link = directory.path().join("link.db");
    symlink(&path, &link).unwrap();
    refused(&link);
    trusted(&link).await;
    // A new file is not made where somebody's link leads to.
    let (elsewhere, dangling) = (directory.path().join("elsewhere"), directory.path().join("dangling.db"));
    symlink(&elsewhere, &dangling).unwrap();
    refused(&dangling);
    assert!(!elsewhere.exists());
    // Nor is a log read that somebody put beside it.
    let victim = directory.path().join("victim");
    std::fs::write(&victim, "victim").unwrap();
    let planted = directory.path().join("cache.db-journal");
    symlink(&victim, &planted).unwrap();
    refused(&path);
    std::fs::remove_file(&planted).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"victim");

    if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        refused(&path);
        trusted(&path).await;
        let me = directory.path().metadata().unwrap().uid();
        std::os::unix::fs::chown(&path, Some(me), None).unwrap();
    }
    assert!(SqliteStorage::open(&path).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn the_journal_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cache.db");
    let storage = SqliteStorage::builder().wal(false).open(&path).unwrap();
    put(&storage, &key("a"), &body(1, 100)).await;
    let other = plain_sql(&path);
    other.execute_batch("BEGIN IMMEDIATE; UPDATE state SET responses_hand = 1").unwrap();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert!(directory.path().join("cache.db-journal").exists());
}
