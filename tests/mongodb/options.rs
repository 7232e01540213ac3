//! What can be set, what is impossible, and what the options do.

use std::time::Duration;

use http::header::{ACCEPT, HeaderMap, HeaderValue, VARY};
use larder::key::Selecting;
use larder::storage::{GridFsStorage, MongoStorage, MongoStorageBuilder, Storage, StorageErrorKind};
use mongodb::Client;
use mongodb::options::ClientOptions;

use crate::server::{KINDS, Scratch};
use crate::{head, key, store};

/// Nothing listens on port 1, and nobody asks: these errors come before any connection.
const URL: &str = "mongodb://127.0.0.1:1/web";

type Builder = MongoStorageBuilder<MongoStorage>;
type Set = fn(Builder) -> Builder;

#[tokio::test]
async fn an_impossible_option_is_an_error_that_says_what_is_possible() {
    let impossible: [(&str, &str, Set); 20] = [
        ("inline_threshold", "4194304", |builder| builder.inline_threshold((4 << 20) + 1)),
        ("chunk_size", "1024", |builder| builder.chunk_size(1023)),
        ("chunk_size", "8388608", |builder| builder.chunk_size((8 << 20) + 1)),
        ("max_variants", "1 to 1024", |builder| builder.max_variants(0)),
        ("ttl_margin", "2147483647", |builder| {
            builder.ttl_margin(Duration::from_millis(i32::MAX as u64 * 1000 + 1))
        }),
        ("timeout", "longer than 0", |builder| builder.timeout(Duration::ZERO)),
        ("connect_timeout", "longer than 0", |builder| builder.connect_timeout(Duration::ZERO)),
        ("database", "63", |builder| builder.database("")),
        ("database", "63", |builder| builder.database("x".repeat(64))),
        ("database", "63", |builder| builder.database("a.b")),
        ("database", "63", |builder| builder.database("a/b")),
        ("collection", "180", |builder| builder.collection("")),
        ("collection", "180", |builder| builder.collection("x".repeat(181))),
        ("collection", "180", |builder| builder.collection("a$b")),
        ("collection", "180", |builder| builder.collection("system.users")),
        ("collection", "180", |builder| builder.collection("a.")),
        ("collection", "bucket", |builder| builder.collection("fs.chunks").bucket("fs")),
        ("collection", "bucket", |builder| builder.collection("fs.files").bucket("fs")),
        ("bucket", "180", |builder| builder.bucket("")),
        ("bucket", "180", |builder| builder.bucket(".fs")),
    ];
    for (option, possible, set) in impossible {
        let error = set(MongoStorage::builder().url(URL)).connect().await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{option}: {error}");
        let told = error.to_string();
        assert!(told.contains(&format!("the option {option} is ")) && told.contains(possible), "{told}");
    }
}

#[tokio::test]
async fn the_last_possible_values_are_possible() {
    let possible: [Set; 9] = [
        |builder| builder.inline_threshold(0).chunk_size(1024).max_variants(1),
        |builder| builder.inline_threshold(4 << 20).chunk_size(8 << 20),
        |builder| builder.ttl_margin(Duration::from_secs(i32::MAX as u64)),
        |builder| builder.ttl_margin(Duration::ZERO),
        |builder| builder.timeout(Duration::from_millis(1)).connect_timeout(Duration::from_millis(1)),
        |builder| builder.database("x".repeat(63)),
        |builder| builder.collection("x".repeat(180)),
        |builder| builder.bucket("x".repeat(180)),
        |builder| builder.collection("fs.chunk").bucket("fs").max_body(0),
    ];
    for (number, set) in possible.into_iter().enumerate() {
        assert!(set(MongoStorage::builder().url(URL)).connect().await.is_ok(), "{number}");
    }
}

#[tokio::test]
async fn options_of_a_url_are_checked_and_win() {
    for query in
        ["chunk_size=1", "inline_threshold=5MiB", "max_variants=0", "connect_timeout=0s", "collection=a$b"]
    {
        let error = MongoStorage::connect(&format!("{URL}?{query}")).await.unwrap_err();
        assert_eq!((error.kind(), error.backend()), (StorageErrorKind::Invalid, "mongodb"), "{error}");
        let error = GridFsStorage::connect(&format!("gridfs+{URL}?{query}")).await.unwrap_err();
        assert_eq!((error.kind(), error.backend()), (StorageErrorKind::Invalid, "gridfs"), "{error}");
        assert!(error.to_string().contains(query.split('=').next().unwrap()), "{error}");
    }
    let builder = MongoStorage::builder().url(format!("{URL}?chunk_size=1MiB&max_body=7")).chunk_size(1);
    assert_eq!(builder.max_body(9).connect().await.unwrap().max_body(), 7);
}

#[tokio::test]
async fn exactly_one_of_url_options_and_client_is_needed() {
    let options = ClientOptions::parse(URL).await.unwrap();
    let client = Client::with_options(options.clone()).unwrap();
    let new = MongoStorage::builder;
    for builder in [
        new(),
        new().url(URL).client(client.clone()),
        new().url(URL).client_options(options.clone()),
        new().client_options(options.clone()).client(client.clone()),
        new().client(client.clone()).connect_timeout(Duration::from_secs(1)),
    ] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("`client`"), "{error}");
    }
    for builder in [new().client(client), new().client_options(options)] {
        // The database of the client and of its options is used.
        let error = builder.timeout(Duration::from_millis(100)).strict().connect().await.unwrap_err();
        assert!(error.to_string().contains("web.larder"), "{error}");
    }
}

#[tokio::test]
async fn the_variants_published_longest_ago_leave_beyond_the_limit() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    for kind in KINDS {
        let storage = scratch.open(kind, "max_variants=2&strict=true").await.unwrap();
        for media_type in ["text/a", "text/b", "text/c"] {
            let mut head = head("variants", media_type);
            let response = HeaderMap::from_iter([(VARY, HeaderValue::from_static("accept"))]);
            let request = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(media_type))]);
            head.selecting = Selecting::new(&response, &request, &head.key, b"");
            let _ = store(&*storage, head, &[1; 100_000]).await.unwrap();
        }
        let found = storage.lookup(&key("variants")).await.unwrap().responses;
        let left: Vec<_> = found.iter().map(|found| &found.head.headers["content-type"]).collect();
        assert_eq!(left, ["text/c", "text/b"]);
        let bodies = scratch.collection(&format!("{kind}.chunks")).await;
        assert_eq!(bodies.distinct("files_id", mongodb::bson::doc! {}).await.unwrap().len(), 2);
    }
}
