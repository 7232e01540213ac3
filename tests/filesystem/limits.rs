use crate::support::*;
use larder::clock::Timestamp;
use larder::storage::filesystem::FileStorage;
use larder::storage::{Storage, StorageErrorKind};

#[tokio::test]
async fn the_number_of_entries_stays_at_its_limit() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = FileStorage::builder().format(format).max_entries(20).open(&path).unwrap();
        let other = FileStorage::builder().format(format).max_entries(20).open(&path).unwrap();
        for number in 0..60 {
            let storage = if number % 2 == 0 { &storage } else { &other };
            store(storage, head(&format!("{number}")), body(10)).await;
            assert!(storage.usage().await.unwrap().responses <= 20);
        }
        assert!(get(&storage, "59").await.is_some());
        assert!(get(&storage, "0").await.is_none());
    }
}

#[tokio::test]
async fn the_bytes_stay_at_their_limit_and_what_was_used_stays() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = FileStorage::builder().format(format).max_bytes(1 << 20).open(&path).unwrap();
        store(&storage, head("used"), body(50_000)).await;
        for number in 0..60 {
            assert!(get(&storage, "used").await.is_some(), "{number}");
            let record = storage.paths_of(&key("used")).await.unwrap().remove(0);
            // A minute passes between uses.
            let file = std::fs::File::open(record).unwrap();
            let now = std::time::SystemTime::now() + std::time::Duration::from_secs(number + 1);
            file.set_times(std::fs::FileTimes::new().set_accessed(now)).unwrap();
            store(&storage, head(&format!("{number}")), body(50_000)).await;
            let on_disk: u64 =
                files(&path.join("bodies")).iter().map(|file| file.metadata().unwrap().len()).sum();
            assert!(on_disk <= 1 << 20);
        }
        assert!(get(&storage, "0").await.is_none());
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_taken() {
    use larder::storage::BodyWriter;
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = FileStorage::builder().format(format).max_body(500_000).open(&path).unwrap();
        let mut announced = head("a");
        announced.body = Some(larder::entry::BodySummary { len: 500_001, checksum: 0 });
        let now = fence(&storage, &announced).await;
        assert_eq!(storage.begin(announced, now).await.unwrap_err().kind(), StorageErrorKind::TooLarge);
        let mut writer = storage.begin(head("a"), now).await.unwrap();
        writer.write(body(400_000)).await.unwrap();
        assert_eq!(writer.write(body(100_001)).await.unwrap_err().kind(), StorageErrorKind::TooLarge);
        writer.abort().await;
        assert!(files(&path.join("temp")).is_empty());
    }
}

#[tokio::test]
async fn maintain_removes_what_is_no_longer_usable() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        for (name, until) in [("old", 5), ("new", 50)] {
            let mut head = head(name);
            head.usable_until = Timestamp::from_secs(until);
            store(&storage, head, body(100_000)).await;
        }
        let maintained = storage.maintain(Timestamp::from_secs(10)).await.unwrap();
        assert_eq!((maintained.expired, maintained.orphans > 0), (1, true), "the body of the head that went");
        assert!(get(&storage, "old").await.is_none());
        assert!(get(&storage, "new").await.is_some());
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_its_kind_and_leaves_no_remains() {
    // A file system of its own needs privileges; without them there is nothing to test.
    let (_dir, path) = place();
    std::fs::create_dir(&path).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"])
        .arg(&path)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let result = std::panic::AssertUnwindSafe(async {
        let storage = FileStorage::open(&path).unwrap();
        store(&storage, head("small"), body(10)).await;
        let error = try_store(&storage, head("large"), body(3 << 20)).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Full);
        while !files(&path.join("temp")).is_empty() {
            tokio::task::yield_now().await;
        }
        store(&storage, head("next"), body(100_000)).await;
        assert!(get(&storage, "next").await.is_some());
        // Filled up with responses, it makes room for the next ones.
        let mut stored = 0;
        for number in 0..60 {
            stored += u32::from(try_store(&storage, head(&format!("{number}")), body(60_000)).await.is_ok());
        }
        assert!(stored > 25, "{stored}");
        assert_eq!(storage.maintain(Timestamp::EPOCH).await.unwrap().orphans, 0);
    });
    let outcome = futures_util::FutureExt::catch_unwind(result).await;
    let _ = std::process::Command::new("umount").arg("-l").arg(&path).status();
    outcome.unwrap();
}

#[test]
fn an_impossible_value_is_an_error_that_says_what_is_possible() {
    let new = FileStorage::builder;
    let table = [
        (new().max_bytes(0), "max_bytes is 0; possible: at least 1, or no limit"),
        (new().max_entries(0), "max_entries is 0; possible: at least 1, or no limit"),
        (new().max_bytes(10).max_body(11), "max_body is 11; possible: at most max_bytes, which is 10"),
        (new().max_variants(0), "max_variants is 0; possible: 1 to 65535"),
        (new().max_variants(65536), "max_variants is 65536; possible: 1 to 65535"),
        (new().inline_threshold(1_048_577), "inline_threshold is 1048577; possible: 0 to 1048576"),
    ];
    for (builder, why) in table {
        let (_dir, path) = place();
        let error = builder.open(&path).unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{error}");
        let text = format!("filesystem storage: the option {why} (invalid)");
        assert_eq!(error.to_string(), text);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn values_at_their_limits_are_taken() {
    let (_dir, path) = place();
    let storage = FileStorage::builder()
        .max_bytes(1 << 20)
        .max_body(1 << 20)
        .max_entries(None)
        .max_variants(65535)
        .inline_threshold(1 << 20)
        .open(&path)
        .unwrap();
    store(&storage, head("a"), body(1000)).await;
    assert!(get(&storage, "a").await.is_some());
    drop(storage);
    let (_dir, path) = place();
    let unlimited = FileStorage::builder().max_bytes(None).max_entries(1).max_variants(1).inline_threshold(0);
    let storage = unlimited.open(&path).unwrap();
    assert_eq!(storage.max_body(), u64::MAX);
    store(&storage, head("a"), body(1000)).await;
    assert!(get(&storage, "a").await.is_some());
}
