use crate::support::*;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use larder::clock::Timestamp;
use larder::entry::{EntryId, StoredHead};
use larder::storage::filesystem::Format;
use larder::storage::{Storage, filesystem::FileStorage};

const GOLDEN: &str = r#"{
  "larder": 1,
  "responses": [
    {
      "url": "http://example.com/api",
      "method": "GET",
      "status": 200,
      "version": "HTTP/1.1",
      "fields": [
        ["content-type", "application/json"],
        ["x-raw", {"base64":"/w=="}]
      ],
      "body": {
        "json": {
          "name": "larder",
          "tags": [
            1,
            2
          ]
        }
      },
      "request_time": "2026-11-22T17:28:29.000Z",
      "response_time": "2026-11-22T17:28:29.123Z",
      "usable_until": "never",
"#;

fn api() -> StoredHead {
    let mut head = StoredHead::new(key("api"), StatusCode::OK);
    head.id = EntryId::from_bits(7);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.insert("x-raw", HeaderValue::from_bytes(b"\xff").unwrap());
    head.request_time = Timestamp::from_millis(1_795_368_509_000);
    head.response_time = Timestamp::from_millis(1_795_368_509_123);
    head
}

async fn stored() -> (tempfile::TempDir, FileStorage, std::path::PathBuf) {
    let (dir, path) = place();
    let storage = open(&path, Format::Json);
    store(&storage, api(), Bytes::from_static(br#"{"name":"larder","tags":[1,2]}"#)).await;
    let file = storage.paths_of(&key("api")).await.unwrap().remove(0);
    (dir, storage, file)
}

#[tokio::test]
async fn a_record_reads_as_the_response_it_holds() {
    let (_dir, storage, file) = stored().await;
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.starts_with(GOLDEN), "{text}");
    let found = storage.lookup(&key("api")).await.unwrap().responses.remove(0);
    let mut expected = api();
    expected.body = found.head.body;
    expected.as_of = found.head.as_of;
    assert_eq!(*found.head, expected);
    assert_eq!(&get(&storage, "api").await.unwrap()[..], br#"{"name":"larder","tags":[1,2]}"#);
}

#[tokio::test]
async fn a_broken_edit_is_a_miss_and_one_without_checksum_is_taken() {
    let (_dir, storage, file) = stored().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let edited = text.replace("\"larder\",", "\"edited\",");
    let unsigned: String = {
        let mut lines: Vec<_> = edited.lines().collect();
        let at = lines.iter().position(|line| line.trim_start().starts_with("\"checksum\"")).unwrap();
        lines.remove(at);
        lines.join("\n")
    };
    // The comma before the line that went.
    let unsigned = remove_last_comma(&unsigned);
    std::fs::write(&file, &unsigned).unwrap();
    assert_eq!(&get(&storage, "api").await.unwrap()[..], br#"{"name":"edited","tags":[1,2]}"#);
    for broken in [edited.as_str(), "{", "[]", &text.replace("200", "2000"), &text.replace("GET", "G T")] {
        std::fs::write(&file, broken).unwrap();
        assert_eq!(get(&storage, "api").await, None);
    }
    let reformatted = text.replace("\n", "\n  ");
    std::fs::write(&file, reformatted).unwrap();
    assert!(get(&storage, "api").await.is_some(), "an editor may lay it out anew");
    std::fs::write(&file, text.replace("\"larder\": 1", "\"larder\": 2")).unwrap();
    assert_eq!(get(&storage, "api").await, None);
    assert!(file.exists(), "another version's file is left alone");
}

fn remove_last_comma(text: &str) -> String {
    let at = text.rfind(',').unwrap();
    [&text[..at], &text[at + 1..]].concat()
}

#[tokio::test]
async fn a_large_body_is_a_plain_file_that_any_tool_reads() {
    let (_dir, path) = place();
    let storage = open(&path, Format::Json);
    let mut page = head("page");
    page.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    store(&storage, page, body(200_000)).await;
    let paths = storage.paths_of(&key("page")).await.unwrap();
    let html =
        paths.iter().find(|path| path.extension().is_some_and(|extension| extension == "html")).unwrap();
    assert_eq!(std::fs::read(html).unwrap(), body(200_000));
    let record = std::fs::read_to_string(&paths[0]).unwrap();
    let shown = html.strip_prefix(&path).unwrap().to_str().unwrap();
    assert!(record.contains(shown), "the record says where");
    // The type changes with a 304: the file keeps its name.
    let mut fresh = (*storage.lookup(&key("page")).await.unwrap().responses.remove(0).head).clone();
    fresh.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    assert!(freshen(&storage, fresh).await);
    assert_eq!(get(&storage, "page").await, Some(body(200_000)));
}
