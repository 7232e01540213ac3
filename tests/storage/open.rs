//! Opening by a URL.

use larder::storage::{StorageErrorKind, open};

#[tokio::test]
async fn a_url_opens_its_backend() {
    let mut urls =
        vec![("memory:", "memory"), ("memory:?max_bytes=1MiB&max_entries=10&max_body=1KiB", "memory")];
    if cfg!(feature = "sqlite") {
        urls.push(("sqlite:", "sqlite"));
    }
    for (url, name) in urls {
        assert_eq!(open(url).await.unwrap().name(), name, "{url}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_path_may_be_encoded_and_nothing_is_created_for_a_wrong_option() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    open(&format!("sqlite:{path}/wrong.db?max_bites=1")).await.unwrap_err();
    assert!(!dir.path().join("wrong.db").exists());
    let url = format!("sqlite:{path}/a%20%3F.db?wal=false&synchronous=full&busy_timeout=1s&max_bytes=1GiB");
    open(&url).await.unwrap();
    assert!(dir.path().join("a ?.db").exists());
}

#[tokio::test]
async fn what_makes_no_sense_is_told_with_what_would() {
    for (url, expected) in [
        ("", "memory:"),
        ("cache.db", "storage: opening a storage: it names no backend"),
        ("mysql://root:secret@host/", "memory:"),
        ("memory:?max_bites=1", "max_bytes, max_entries, max_body"),
        ("memory:?max_bytes=lots", "KiB"),
        ("memory:?max_bytes=%4", "well-formed"),
        ("memory:somewhere", "memory:"),
    ] {
        let error = open(url).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains(expected), "{url}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

/// `sqlite://cache.db` was `/cache.db`, or a path that was never meant.
#[tokio::test]
async fn a_host_in_place_of_a_path_is_refused_with_what_to_write() {
    let mut urls = Vec::new();
    if cfg!(feature = "sqlite") {
        urls.extend([("sqlite", "//cache.db"), ("sqlite", "//var/cache.db"), ("sqlite", "//")]);
    }
    if cfg!(all(feature = "filesystem", unix)) {
        urls.extend([("file", "//cache"), ("file", "//user:hunter2@host/cache"), ("file", "//")]);
    }
    for (scheme, place) in urls {
        let error = open(&format!("{scheme}:{place}")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{scheme}:{place}");
        let text = error.to_string();
        assert!(text.contains(&format!("`{scheme}:PATH`")), "{text}");
        assert!(text.contains(&format!("`{scheme}:///PATH`")), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_name_that_sqlite_has_for_memory_is_no_file() {
    let storage = open("sqlite::memory:").await.unwrap();
    assert_eq!(storage.usage().await.unwrap().responses, 0);
    assert!(!std::path::Path::new(":memory:").exists());
}
