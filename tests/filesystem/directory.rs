use crate::support::*;
use larder::storage::filesystem::{FileStorage, Format};
use larder::storage::{Storage, StorageErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[tokio::test]
async fn files_are_for_their_owner_only() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(10)).await;
        store(&storage, head("b"), body(100_000)).await;
        let mut all = files(&path);
        for file in all.clone() {
            all.extend(
                file.ancestors().skip(1).take_while(|dir| dir.starts_with(&path)).map(ToOwned::to_owned),
            );
        }
        for path in all {
            let metadata = path.metadata().unwrap();
            let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.mode() & 0o777, expected, "{}", path.display());
        }
    }
}

#[test]
fn foreign_directories_and_files_are_refused_and_left_alone() {
    let (_dir, path) = place();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("thesis.tex"), "years of work").unwrap();
    let error = FileStorage::open(&path).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible);
    assert_eq!(files(&path), [path.join("thesis.tex")]);
    let error = FileStorage::open(path.join("thesis.tex")).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
}

#[test]
fn other_versions_and_the_other_format_are_refused() {
    let (_dir, path) = place();
    drop(open(&path, Format::Json));
    assert_eq!(FileStorage::open(&path).unwrap().format(), Format::Json);
    let error = FileStorage::builder().format(Format::Compact).open(&path).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible);
    let marker = std::fs::read_to_string(path.join("larder.json")).unwrap();
    for text in [marker.replace("\"version\": 1", "\"version\": 2"), "{}".into(), String::new()] {
        std::fs::write(path.join("larder.json"), &text).unwrap();
        let error = FileStorage::open(&path).unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Incompatible);
        assert_eq!(std::fs::read_to_string(path.join("larder.json")).unwrap(), text);
    }
}

#[test]
fn a_directory_others_could_have_prepared_is_refused() {
    let (dir, path) = place();
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(FileStorage::open(&path).unwrap_err().kind(), StorageErrorKind::Denied);
    let link = dir.path().join("link");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    symlink(&path, &link).unwrap();
    assert_eq!(FileStorage::open(&link).unwrap_err().kind(), StorageErrorKind::Denied);
    assert_eq!(
        FileStorage::open(link.join("")).unwrap_err().kind(),
        StorageErrorKind::Denied,
        "slash at the end"
    );
    assert!(files(&path).is_empty());
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        assert_eq!(FileStorage::open(&path).unwrap_err().kind(), StorageErrorKind::Denied);
    }
}

#[tokio::test]
async fn clear_removes_only_its_own_files() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(100_000)).await;
        let record = storage.paths_of(&key("a")).await.unwrap().remove(0);
        let theirs =
            [path.join("notes.txt"), record.with_file_name("notes.txt"), path.join("bodies/notes.txt")];
        for file in &theirs {
            std::fs::write(file, "mine").unwrap();
        }
        storage.clear(None).await.unwrap();
        storage.maintain(larder::clock::Timestamp::MAX).await.unwrap();
        assert!(storage.paths().await.unwrap().is_empty());
        assert!(theirs.iter().all(|file| std::fs::read(file).unwrap() == b"mine"));
    }
}

#[tokio::test]
async fn planted_links_and_pipes_are_never_followed() {
    for format in FORMATS {
        let (dir, path) = place();
        let storage = open(&path, format);
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "secret").unwrap();

        // In place of a record.
        store(&storage, head("a"), body(3)).await;
        let record = storage.paths_of(&key("a")).await.unwrap().remove(0);
        std::fs::remove_file(&record).unwrap();
        symlink(outside.join("secret"), &record).unwrap();
        assert_eq!(get(&storage, "a").await, None);
        store(&storage, head("a"), body(4)).await;
        assert_eq!(get(&storage, "a").await, Some(body(4)));

        // In place of a fan-out directory: a link to a copy with a valid entry in it.
        let fan = record.parent().unwrap();
        let moved = outside.join("fan");
        std::fs::rename(fan, &moved).unwrap();
        symlink(&moved, fan).unwrap();
        assert_eq!(get(&storage, "a").await, None);
        assert!(try_store(&storage, head("a"), body(5)).await.is_err());
        std::fs::remove_file(fan).unwrap();
        store(&storage, head("a"), body(6)).await;

        // A pipe would let a reader wait for ever.
        std::fs::remove_file(&record).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&record).status().unwrap();
        assert!(made.success());
        assert_eq!(get(&storage, "a").await, None);
        assert_eq!(files(&outside).len(), 2);
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    }
}

#[tokio::test]
async fn a_directory_deleted_while_in_use_is_made_again() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(3)).await;
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(get(&storage, "a").await, None);
        store(&storage, head("a"), body(100_000)).await;
        assert_eq!(get(&open(&path, format), "a").await, Some(body(100_000)));

        // Emptied, but still there.
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() { std::fs::remove_dir_all(entry) } else { std::fs::remove_file(entry) }
                .unwrap();
        }
        assert_eq!(get(&storage, "a").await, None);
        store(&storage, head("a"), body(10)).await;
        assert_eq!(get(&open(&path, format), "a").await, Some(body(10)));

        // Only a part of it.
        std::fs::remove_dir_all(path.join("responses")).unwrap();
        assert_eq!(get(&storage, "a").await, None);
        let _ = try_store(&storage, head("a"), body(10)).await;
        store(&storage, head("a"), body(11)).await;
        assert_eq!(get(&open(&path, format), "a").await, Some(body(11)));
    }
}

#[tokio::test]
async fn a_directory_replaced_by_a_link_is_not_written_through() {
    for format in FORMATS {
        let (dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(3)).await;
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        symlink(&outside, &path).unwrap();
        let error = try_store(&storage, head("b"), body(3)).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Denied);
        assert!(files(&outside).is_empty());
        std::fs::remove_file(&path).unwrap();
        store(&storage, head("b"), body(3)).await;
    }
}
