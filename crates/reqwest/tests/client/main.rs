//! `CachedClient` over a real TLS connection to an origin on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod origin;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use larder_reqwest::storage::MemoryStorage;
use larder_reqwest::{BuildError, CacheLayer, CacheOverride, CachedClient, cache_status};
use origin::{Origin, fresh};

fn cached(origin: &Origin) -> CachedClient {
    CachedClient::builder(CacheLayer::new(MemoryStorage::new())).build(origin.client()).unwrap()
}

fn is_hit(response: &reqwest::Response) -> bool {
    cache_status(response).unwrap().is_hit()
}

#[tokio::test]
async fn a_second_request_is_answered_from_the_storage() {
    let origin = Origin::new(|_| fresh("hello")).await;
    let client = cached(&origin);
    for expected in [false, true] {
        let response = client.get(&origin.url).send().await.unwrap();
        assert_eq!(is_hit(&response), expected);
        assert_eq!(response.url().as_str(), format!("{}/", origin.url));
        assert_eq!(response.content_length(), Some(5));
        assert_eq!(response.text().await.unwrap(), "hello");
    }
    assert_eq!(origin.asked(), ["/"]);
}

#[tokio::test]
async fn what_is_stored_survives_the_client() {
    let origin = Origin::new(|_| fresh("hello")).await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let storage = larder_reqwest::storage::SqliteStorage::open(folder.path().join("cache.db")).unwrap();
        let client = CachedClient::builder(CacheLayer::new(storage)).build(origin.client()).unwrap();
        let response = client.execute(client.get(&origin.url).build().unwrap()).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
        client.layer().flush().await;
    }
    assert_eq!(origin.asked().len(), 1);
}

#[tokio::test]
async fn redirects_are_followed_hop_by_hop_and_the_url_is_the_one_that_answered() {
    let origin = Origin::new(|request| match request.uri().path() {
        "/old" => Response::builder()
            .status(StatusCode::MOVED_PERMANENTLY)
            .header("location", "/new")
            .header("cache-control", "max-age=60")
            .body(Full::default())
            .unwrap(),
        _ => fresh("moved"),
    })
    .await;
    let client = cached(&origin);
    for _ in 0..2 {
        let response = client.get(format!("{}/old", origin.url)).send().await.unwrap();
        assert_eq!(response.url().path(), "/new");
        assert_eq!(response.text().await.unwrap(), "moved");
    }
    assert_eq!(origin.asked(), ["/old", "/new"]);
}

#[tokio::test]
async fn past_the_limit_the_redirect_itself_is_the_answer() {
    let origin = Origin::new(|request| {
        let next = format!("{}x", request.uri().path());
        Response::builder().status(302).header("location", next).body(Full::default()).unwrap()
    })
    .await;
    let layer = CacheLayer::new(MemoryStorage::new());
    let client = CachedClient::builder(layer).redirects(2).build(origin.client()).unwrap();
    let response = client.get(format!("{}/a", origin.url)).send().await.unwrap();
    assert_eq!((response.status(), response.url().path()), (StatusCode::FOUND, "/axx"));
}

#[tokio::test]
async fn overrides_and_status_are_reachable() {
    let origin = Origin::new(|_| fresh("hello")).await;
    let client = cached(&origin);
    let only_stored = || client.get(&origin.url).cache(CacheOverride::only_if_cached());
    assert_eq!(only_stored().send().await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    client.get(&origin.url).send().await.unwrap().text().await.unwrap();
    assert_eq!(only_stored().send().await.unwrap().status(), StatusCode::OK);
    let request = client.get(&origin.url).build().unwrap();
    let reloaded = client.execute_with(request, CacheOverride::reload()).await.unwrap();
    assert!(!is_hit(&reloaded));
}

#[tokio::test]
async fn a_timeout_holds_for_what_goes_to_the_origin() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::new(|_| fresh("hello")).await;
    let client = cached(&origin);
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let error = client.get(url).timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_timeout_crosses_to_another_origin() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}/", silent.local_addr().unwrap());
    let origin = Origin::new(move |_| {
        Response::builder().status(302).header("location", &elsewhere).body(Full::default()).unwrap()
    })
    .await;
    let asking = cached(&origin).get(&origin.url).timeout(Duration::from_millis(500)).send();
    let error = tokio::time::timeout(Duration::from_secs(20), asking).await.expect("in time").unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn default_headers_are_sent_and_keep_users_apart() {
    let origin = Origin::new(|request| {
        let token = request.headers()["authorization"].to_str().unwrap().to_owned();
        Response::builder().header("cache-control", "max-age=60").body(Full::from(token)).unwrap()
    })
    .await;
    let layer = CacheLayer::new(MemoryStorage::new());
    for (token, requests) in [("alice", 1), ("bob", 2), ("alice", 2)] {
        let mut fields = HeaderMap::new();
        fields.insert("authorization", HeaderValue::from_str(token).unwrap());
        let builder = CachedClient::builder(layer.clone()).default_headers(fields);
        let client = builder.build(origin.client()).unwrap();
        assert_eq!(client.get(&origin.url).send().await.unwrap().text().await.unwrap(), token);
        assert_eq!(origin.asked().len(), requests);
    }
}

#[tokio::test]
async fn a_client_that_hides_something_from_the_cache_is_refused() {
    let origin = Origin::new(|_| fresh("")).await;
    let build = |client| CachedClient::builder(CacheLayer::new(MemoryStorage::new())).build(client);
    for name in ["authorization", "cookie", "x-api-key", "private-token"] {
        for value in ["s3cret", "\"a\": \"b", "}", "\\"] {
            let mut fields = HeaderMap::new();
            // Before it, something that a careless reader takes for the end.
            let odd = ["a\": b", "\\", "}", "\\\""][value.len() % 4];
            fields.insert("accept", HeaderValue::from_static(odd));
            fields.insert(name, HeaderValue::from_static(value));
            let error = build(origin.client().default_headers(fields.clone())).unwrap_err();
            assert!(matches!(&error, BuildError::Refused(why) if why.contains(name)), "{error}");
            assert!(!error.to_string().contains("s3cret"));
            let client = origin.client().default_headers(fields).redirect(reqwest::redirect::Policy::none());
            let over = CachedClient::builder(CacheLayer::new(MemoryStorage::new()));
            assert!(over.build_over(client.build().unwrap()).is_err());
        }
    }
    let following = origin.client().build().unwrap();
    let over = CachedClient::builder(CacheLayer::new(MemoryStorage::new()));
    assert!(over.build_over(following).unwrap_err().to_string().contains("redirects"));
    let mut harmless = HeaderMap::new();
    harmless.insert("accept", HeaderValue::from_static("text/html"));
    assert!(build(origin.client().default_headers(harmless)).is_ok());
}

#[tokio::test]
async fn a_client_with_a_cookie_store_is_refused() {
    let origin = Origin::new(|_| fresh("")).await;
    let builder = CachedClient::builder(CacheLayer::new(MemoryStorage::new()));
    let error = builder.build(origin.client().cookie_store(true)).unwrap_err();
    assert!(error.to_string().contains("cookie"), "{error}");
}

#[tokio::test]
async fn an_unsafe_request_invalidates_what_is_stored() {
    let origin = Origin::new(|_| fresh("hello")).await;
    let client = cached(&origin);
    client.get(&origin.url).send().await.unwrap().text().await.unwrap();
    client.post(&origin.url).body("changed").send().await.unwrap().text().await.unwrap();
    assert!(!is_hit(&client.get(&origin.url).send().await.unwrap()));
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn compressed_content_is_stored_as_sent_and_decompressed_for_each_caller() {
    use std::io::Write;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&b"hello ".repeat(1000)).unwrap();
    let encoded = Bytes::from(encoder.finish().unwrap());
    let origin = Origin::new(move |request| {
        let builder =
            Response::builder().header("cache-control", "max-age=60").header("vary", "accept-encoding");
        match request.headers().get("accept-encoding") {
            Some(accepted) if accepted.to_str().unwrap().contains("gzip") => {
                builder.header("content-encoding", "gzip").body(Full::from(encoded.clone())).unwrap()
            }
            _ => builder.body(Full::from(b"hello ".repeat(1000))).unwrap(),
        }
    })
    .await;
    let client = cached(&origin);
    for _ in 0..2 {
        let response = client.get(&origin.url).send().await.unwrap();
        assert!(response.headers().get("content-encoding").is_none());
        assert_eq!(response.bytes().await.unwrap(), b"hello ".repeat(1000));
    }
    assert_eq!(origin.asked().len(), 1);
    // A range is asked for as it is: a piece of compressed content could not be decompressed.
    client.get(&origin.url).header("range", "bytes=0-4").send().await.unwrap();
    assert_eq!(origin.last()["accept-encoding"], "identity");
}

#[cfg(feature = "middleware")]
#[tokio::test]
async fn it_is_the_last_middleware_of_a_stack() {
    let origin = Origin::new(|_| fresh("hello")).await;
    let unused = reqwest::Client::builder().build().unwrap();
    let client = reqwest_middleware::ClientBuilder::new(unused).with(cached(&origin)).build();
    for expected in [false, true] {
        let response = client.get(&origin.url).send().await.unwrap();
        assert_eq!(is_hit(&response), expected);
        response.text().await.unwrap();
    }
    let response = client.get(&origin.url).with_extension(CacheOverride::reload()).send().await.unwrap();
    assert!(!is_hit(&response));
}
