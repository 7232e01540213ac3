//! Requests and responses that nobody sends by mistake.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use larder::key::{Credentials, DefaultKey};
use larder::storage::{FileStorage, MemoryStorage, SqliteStorage};
use larder::{CacheLayer, CacheOverride, Policy};
use tower::{Layer, ServiceExt};

use super::{FRESH, PAGE};
use crate::moody::{Mood, Moody};
use crate::support::{Frames, Origin, ask, clock, get, request, response, with_body};

/// The next of a row of numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

const TARGETS: [&str; 26] = [
    "http://a/p",
    "http://a/p?x=1",
    "http://a/p?x=2&x=%ff",
    "http://a",
    "http://A:80/p",
    "http://a:/p",
    "http://a:99999/p",
    "http://u:p@a/p",
    "http://@a/p",
    "http://u@:80/p",
    "http://[::1]/p",
    "http://[::1]:80/%zz",
    "https://a:443/../p",
    "ftp://a/p",
    "/p",
    "/",
    "//a/p",
    "/..//a/%2e%2e/p?",
    "*",
    "a:443",
    "a",
    "[::1]:80",
    "u@a:1",
    "http://a/p?&&&=&%",
    "http://a./p",
    "http://%61/p",
];

const METHODS: [&str; 12] =
    ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "QUERY", "CONNECT", "OPTIONS", "TRACE", "GE!T"];

const STATUSES: [u16; 24] = [
    200, 200, 200, 200, 100, 101, 103, 201, 204, 205, 206, 226, 300, 301, 302, 303, 304, 307, 404, 412, 416,
    500, 503, 999,
];

const FIELDS: [&str; 52] = [
    "cache-control",
    "cache-control",
    "cache-control",
    "cdn-cache-control",
    "pragma",
    "age",
    "date",
    "expires",
    "etag",
    "etag",
    "last-modified",
    "vary",
    "content-range",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "location",
    "content-location",
    "no-vary-search",
    "cache-groups",
    "cache-group-invalidation",
    "connection",
    "trailer",
    "set-cookie",
    "host",
    "range",
    "range",
    "if-range",
    "if-none-match",
    "if-match",
    "if-modified-since",
    "if-unmodified-since",
    "authorization",
    "cookie",
    "forwarded",
    "x-forwarded-host",
    "x-http-method-override",
    "accept",
    "accept-encoding",
    "accept-language",
    "origin",
    "te",
    "expect",
    "warning",
    "cache-status",
    "content-digest",
    "content-md5",
    "keep-alive",
    "upgrade",
    "proxy-authorization",
    "retry-after",
];

const VALUES: [&[u8]; 68] = [
    b"",
    b"max-age=600",
    b"max-age=0, stale-while-revalidate=600, stale-if-error=600",
    b"max-age=99999999999999999999, s-maxage=18446744073709551616",
    b"no-cache=\"\xff, etag\", private=\"set-cookie\"",
    b"no-store=1, public, must-understand",
    b"\"\"\"\"\\\"",
    b"\xff\xfe\x80",
    b"only-if-cached, max-stale, min-fresh=4294967295",
    b"max-stale=4294967296, max-age=-1",
    b"*",
    b"0",
    b"-1",
    b"5",
    b"5, 7",
    b"18446744073709551615",
    b"18446744073709551616",
    b"+5",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sun, 31 Dec 9999 23:59:60 GMT",
    b"Fri, 00 Jan 0000 00:00:00 GMT",
    b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:37 1994",
    b"Mon, 21 Sep 2026 14:13:20 GMT",
    b"\"a\"",
    b"W/\"a\"",
    b"\"a\", \"b\", W/\"c",
    b"a",
    b"\"",
    b"W/",
    b"bytes 0-4/15",
    b"bytes 5-9/15",
    b"bytes 0-14/15",
    b"bytes 9-5/15",
    b"bytes 0-18446744073709551614/18446744073709551615",
    b"bytes 18446744073709551615-18446744073709551615/*",
    b"bytes 18446744073709551610-18446744073709551614/18446744073709551615",
    b"bytes */15",
    b"bytes 0-4/*",
    b"bytes=0-4",
    b"bytes=5-",
    b"bytes=-5",
    b"bytes=-18446744073709551615",
    b"bytes=18446744073709551615-18446744073709551615",
    b"bytes=0-18446744073709551615",
    b"bytes=0-0,2-2",
    b"bytes=-",
    b"BYTES=1-1",
    b"http://a/p",
    b"/p",
    b"//a",
    b"http:",
    b"?",
    b"#",
    b"../../..//\xc3\xa9",
    b"http://[::1",
    b"\\\\a\\p",
    b"params=(\"x\"), key-order",
    b"params, except=(\"x\" 1 ?0)",
    b"key-order=?1;a=\"b\"",
    b"\"g\", \"h\";x",
    b"\"g\", g, 1.5",
    b"accept, cookie, authorization, x",
    b"close, etag, cache-control, x-a",
    b"multipart/byteranges; boundary=a",
    b"gzip;q=1.0, *;q=0, \xff",
    b"chunked",
    b"a.example:99999",
];

fn fields(dice: &mut Dice, most: usize) -> Vec<(HeaderName, HeaderValue)> {
    let count = dice.roll(most);
    (0..count)
        .map(|_| {
            let name = HeaderName::from_static(FIELDS[dice.roll(FIELDS.len())]);
            (name, HeaderValue::from_bytes(dice.one(&VALUES)).unwrap())
        })
        .collect()
}

/// Whatever is asked and answered, nothing panics or hangs, and no answer is made of anything but what the origin said.
async fn anything(layer: CacheLayer, rounds: usize, seed: u64) {
    let time = clock();
    let layer = layer.clock(time.clone());
    let origin = Origin::new(|asked, number| {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1).wrapping_mul(0x1234_5678_9abc_def1));
        let pieces: &[&'static str] = dice.one(&[
            &["01234"][..],
            &["0123456789ABCDE"],
            &[],
            &["", "5", "6789"],
            &["0123456789", "ABCDE"],
        ]);
        let mut frames = Frames::of(pieces);
        match dice.roll(8) {
            0 => frames = frames.then_error(),
            1 => frames = frames.then_trailers("set-cookie", "a=b"),
            2 => frames = frames.then_trailers("x-checksum", "1"),
            _ => {}
        }
        if dice.roll(12) == 0 {
            return Err("down".into());
        }
        let mut response = with_body(STATUSES[dice.roll(STATUSES.len())], &[], frames.boxed());
        for (name, value) in fields(&mut dice, 9) {
            response.headers_mut().append(name, value);
        }
        if asked.method == "HEAD" {
            *response.body_mut() = Frames::of(&[]).boxed();
        }
        Ok(response)
    });
    let (plain, following) =
        (layer.clone().layer(origin.clone()), layer.clone().follow_redirects(4).layer(origin));
    let mut dice = Dice(seed);
    for round in 0..rounds {
        let Ok(uri) = dice.one(&TARGETS).parse::<http::Uri>() else { continue };
        let mut asking = Request::new(Full::new(Bytes::from_static(dice.one(&[&b""[..], b"", b"x"]))));
        *asking.method_mut() = METHODS[dice.roll(METHODS.len())].parse().unwrap();
        *asking.uri_mut() = uri;
        for (name, value) in fields(&mut dice, 6) {
            asking.headers_mut().append(name, value);
        }
        match dice.roll(14) {
            0 => drop(asking.extensions_mut().insert(CacheOverride::revalidate())),
            1 => drop(asking.extensions_mut().insert(CacheOverride::reload().with_lifetime(Duration::MAX))),
            2 => drop(asking.extensions_mut().insert(CacheOverride::only_if_cached())),
            3 => drop(asking.extensions_mut().insert(CacheOverride::bypass())),
            4 => drop(asking.extensions_mut().insert(CacheOverride::new().with_no_store())),
            _ => {}
        }
        let shown = format!("{round}: {asking:?}");
        let waiting = Duration::from_secs(20);
        let answer = if dice.roll(2) == 0 {
            tokio::time::timeout(waiting, plain.clone().oneshot(asking)).await
        } else {
            tokio::time::timeout(waiting, following.clone().oneshot(asking)).await
        };
        if let Ok(response) = answer.unwrap_or_else(|_| panic!("no answer to {shown}")) {
            let mut body = response.into_body();
            let read = dice.roll(5);
            for _ in 0..read {
                let frame = tokio::time::timeout(waiting, body.frame()).await;
                let Some(Ok(frame)) = frame.unwrap_or_else(|_| panic!("no frame for {shown}")) else { break };
                if let Some(data) = frame.data_ref() {
                    assert!(data.iter().all(|byte| b"0123456789ABCDE".contains(byte)), "{shown}");
                }
            }
        }
        match dice.roll(40) {
            0 => time.advance(Duration::from_secs(700)),
            1 => time.set(larder::clock::Timestamp::MAX),
            2 => time.set(larder::clock::Timestamp::from_millis(i64::MIN)),
            3..6 => time.set(larder::clock::Clock::now(&clock())),
            _ => {}
        }
    }
    tokio::time::timeout(Duration::from_secs(60), layer.flush()).await.expect("flushed");
}

#[tokio::test]
async fn anything_may_be_asked_and_answered_memory() {
    for seed in 1..6 {
        anything(CacheLayer::new(MemoryStorage::new()), 4000, seed).await;
        let shared = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared());
        anything(shared, 2000, seed + 100).await;
        let keys = DefaultKey::new().normalize_target(true).sort_query(true).partition_by_cookie();
        let keys = keys.credentials(Credentials::Shared);
        anything(CacheLayer::new(MemoryStorage::new()).make_key(keys), 2000, seed + 200).await;
    }
}

#[tokio::test]
async fn anything_may_be_asked_and_answered_sqlite() {
    anything(CacheLayer::new(SqliteStorage::in_memory().unwrap()), 1500, 7).await;
}

#[tokio::test]
async fn anything_may_be_asked_and_answered_filesystem() {
    let place = tempfile::tempdir().unwrap();
    anything(CacheLayer::new(FileStorage::open(place.path()).unwrap()), 700, 8).await;
}

/// A length that nobody has.
async fn endless(layer: CacheLayer) {
    let origin = Origin::new(|asked, _| {
        let part = asked.headers.contains_key("range");
        let length = if part {
            ("content-range", "bytes 0-18446744073709551613/18446744073709551615")
        } else {
            ("content-length", "18446744073709551615")
        };
        Ok(with_body(
            if part { 206 } else { 200 },
            &[FRESH, ("etag", "\"a\""), length],
            Frames::of(&["01234"]).boxed(),
        ))
    });
    let cache = layer.layer(origin);
    for round in 0..3 {
        for range in [None, Some("bytes=0-18446744073709551613"), Some("bytes=0-4"), Some("bytes=-3")] {
            let fields: Vec<_> = range.iter().map(|range| ("range", *range)).collect();
            let response = cache.clone().oneshot(request("GET", PAGE, &fields)).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await;
            if let Ok(body) = body {
                let body = body.to_bytes();
                assert!(b"01234".starts_with(&body), "{round} {range:?} {status} {body:?}");
            }
        }
    }
    cache.flush().await;
}

#[tokio::test]
async fn a_length_that_no_body_has() {
    endless(CacheLayer::new(MemoryStorage::new())).await;
    endless(CacheLayer::new(SqliteStorage::in_memory().unwrap())).await;
    let place = tempfile::tempdir().unwrap();
    endless(CacheLayer::new(FileStorage::open(place.path()).unwrap())).await;
}

/// RFC 6585: "Responses with the 429 status code MUST NOT be stored by a cache", and the same of 428, 431 and 511.
#[tokio::test]
async fn statuses_that_a_cache_must_not_store() {
    for status in [428, 429, 431, 511] {
        let origin = Origin::new(move |_, _| Ok(response(status, &[FRESH, ("etag", "\"a\"")], "later")));
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        ask(&cache, get(PAGE)).await;
        let seen = ask(&cache, get(PAGE)).await;
        assert!(!seen.is_hit(), "{status}");
    }
}

/// RFC 9111 section 5.2.1.7: who wants a stored response or none does not get one from the origin because the stored
/// body is lost.
#[tokio::test]
async fn only_if_cached_stays_away_from_the_origin_when_the_body_is_lost() {
    for by_field in [true, false] {
        let storage = Moody::new(Mood::Fine);
        let origin = Origin::always(&[FRESH], "hello");
        let cache = CacheLayer::new(storage.clone()).layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        storage.set(Mood::LosesBodies);
        let mut asking = get(PAGE);
        if by_field {
            asking.headers_mut().insert("cache-control", HeaderValue::from_static("only-if-cached"));
        } else {
            asking.extensions_mut().insert(CacheOverride::only_if_cached());
        }
        let seen = ask(&cache, asking).await;
        assert_eq!((seen.status, origin.count()), (StatusCode::GATEWAY_TIMEOUT, 1), "by field: {by_field}");
    }
}

/// Nor does the cache ask the origin behind its back.
#[tokio::test]
async fn only_if_cached_refreshes_nothing() {
    for by_field in [true, false] {
        let time = clock();
        let origin = Origin::always(&[("cache-control", "max-age=10, stale-while-revalidate=600")], "hello");
        let cache = CacheLayer::new(MemoryStorage::new()).clock(time.clone()).layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        time.advance(Duration::from_secs(20));
        let mut asking = get(PAGE);
        if by_field {
            asking.headers_mut().insert("cache-control", HeaderValue::from_static("only-if-cached"));
        } else {
            asking.extensions_mut().insert(CacheOverride::only_if_cached());
        }
        assert!(ask(&cache, asking).await.is_hit());
        cache.flush().await;
        assert_eq!(origin.count(), 1, "by field: {by_field}");
        // Whoever takes a fresh one from the origin is not kept from it.
        ask(&cache, get(PAGE)).await;
        cache.flush().await;
        assert_eq!(origin.count(), 2, "by field: {by_field}");
    }
}

/// A `Location` that is followed with bytes beyond ASCII names the same URI for invalidation.
#[tokio::test]
async fn a_location_beyond_ascii_is_invalidated() {
    const CAFE: &str = "http://example.com/caf%C3%A9";
    for name in ["location", "content-location"] {
        let origin = Origin::new(move |asked, _| {
            let mut answer = response(200, &[FRESH], "hello");
            if asked.method == "POST" {
                let place = HeaderValue::from_bytes("/café".as_bytes()).unwrap();
                answer.headers_mut().insert(name, place);
            }
            Ok(answer)
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        ask(&cache, get(CAFE)).await;
        ask(&cache, request("POST", "http://example.com/form", &[])).await;
        assert!(!ask(&cache, get(CAFE)).await.is_hit(), "{name}");
    }
}
