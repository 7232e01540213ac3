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
    let text = r#"{"larder": "filesystem", "version": 2, "format": "json", "note": ""}"#;
    std::fs::write(path.join("larder.json"), text).unwrap();
    let error = FileStorage::open(&path).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible);
    assert_eq!(std::fs::read_to_string(path.join("larder.json")).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_settings_file_is_made_anew_and_nothing_is_lost() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(100_000)).await;
        drop(storage);
        let marker = path.join("larder.json");
        let whole = std::fs::read(&marker).unwrap();
        let torn = (0..whole.len()).map(|len| whole[..len].to_vec());
        let zeroed = [vec![0; whole.len()], vec![0; 4096], b"{}".to_vec(), b"what is this?".to_vec()];
        let flipped = (0..whole.len() * 8).map(|bit| {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        for damaged in torn.chain(zeroed).chain(flipped.step_by(3)).map(Some).chain([None]) {
            match &damaged {
                Some(damaged) => std::fs::write(&marker, damaged).unwrap(),
                None => std::fs::remove_file(&marker).unwrap(),
            }
            let shown = damaged.as_deref().map(String::from_utf8_lossy);
            let storage = FileStorage::open(&path).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
            assert_eq!(storage.format(), format, "{shown:?}");
            assert!(storage.lookup(&key("a")).await.unwrap().responses.len() == 1, "{shown:?}");
        }
        let storage = FileStorage::open(&path).unwrap();
        assert_eq!(get(&storage, "a").await, Some(body(100_000)));
        assert_eq!(std::fs::read(&marker).unwrap(), whole);
        assert_eq!(marker.metadata().unwrap().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_settings_file_is_made_anew_where_earlier_numbers_do_not_name_the_format() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(10)).await;
        drop(storage);
        let mut state = std::fs::read(path.join("state")).unwrap();
        state[8..16].fill(0);
        std::fs::write(path.join("state"), state).unwrap();
        std::fs::write(path.join("larder.json"), "").unwrap();
        let storage = FileStorage::open(&path).unwrap();
        assert_eq!((storage.format(), get(&storage, "a").await), (format, Some(body(10))));
    }
}

/// Its settings file has the name of ours, and other files are there that are not ours.
#[test]
fn a_directory_of_somebody_else_with_a_larder_json_is_left_alone() {
    for text in ["", "{}", "{\"shelves\": 3}", "jam"] {
        for state in [None, Some("our state"), Some("")] {
            let (_dir, path) = place();
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("larder.json"), text).unwrap();
            if let Some(state) = state {
                std::fs::write(path.join("state"), state).unwrap();
            }
            let before = files(&path);
            let error = FileStorage::open(&path).unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Incompatible);
            assert_eq!(files(&path), before);
            assert_eq!(std::fs::read_to_string(path.join("larder.json")).unwrap(), text);
        }
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
