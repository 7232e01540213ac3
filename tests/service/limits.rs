//! What an origin can make grow has a limit: header fields, their bytes, groups, trailers. Over it a response is passed
//! on unharmed and not stored.

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use larder::entry::{MOST_FIELD_BYTES, MOST_FIELDS, MOST_GROUPS};
use larder::status::Fwd;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride};
use tower::Layer;

use crate::support::{Frames, Origin, OriginBody, ask, clock, date, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const STALE: (&str, &str) = ("cache-control", "max-age=0");
const TAG: (&str, &str) = ("etag", "\"a\"");

fn name(number: usize) -> HeaderName {
    HeaderName::try_from(format!("x-{number}")).unwrap()
}

/// Adds fields until there are so many lines.
fn with_lines(mut response: Response<OriginBody>, lines: usize) -> Response<OriginBody> {
    for number in response.headers().len()..lines {
        response.headers_mut().append(name(number), HeaderValue::from_static(""));
    }
    response
}

/// A map that takes no more names.
fn full() -> HeaderMap {
    let mut full = HeaderMap::new();
    for number in 0.. {
        if full.try_append(name(number), HeaderValue::from_static("")).is_err() {
            break;
        }
    }
    full
}

fn filled(mut response: Response<OriginBody>) -> Response<OriginBody> {
    let mut fields = full();
    for (name, value) in response.headers() {
        let number = fields.keys().next().unwrap().clone();
        fields.remove(number);
        fields.insert(name.clone(), value.clone());
    }
    assert!(fields.try_insert("one-more", HeaderValue::from_static("")).is_err());
    *response.headers_mut() = fields;
    response
}

#[tokio::test]
async fn as_many_fields_as_the_limit_are_stored_and_one_more_are_not() {
    // The cache adds a Date and an Age.
    for (lines, stored) in [(MOST_FIELDS - 2, true), (MOST_FIELDS - 1, false), (MOST_FIELDS + 1, false)] {
        let origin = Origin::new(move |_, _| Ok(with_lines(response(200, &[FRESH], "hello"), lines)));
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
        let first = ask(&cache, get(PAGE)).await;
        assert_eq!((first.headers.len(), first.text(), first.cache().stored), (lines, "hello", stored));
        assert_eq!(first.cache().detail.as_deref(), (!stored).then_some("large head"));
        let second = ask(&cache, get(PAGE)).await;
        assert_eq!((second.text(), second.is_hit()), ("hello", stored));
    }
}

#[tokio::test]
async fn as_many_bytes_of_fields_as_the_limit_are_stored_and_one_more_are_not() {
    let len_of = |response: &Response<OriginBody>| -> usize {
        response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    };
    for more in [0, 1] {
        let origin = Origin::new(move |_, _| {
            let mut response = response(200, &[FRESH, ("date", &date(&clock(), 0))], "hello");
            let own = len_of(&response) + "age0".len() + "x-long".len();
            let long = HeaderValue::try_from("v".repeat(MOST_FIELD_BYTES - own + more)).unwrap();
            response.headers_mut().append("x-long", long);
            Ok(response)
        });
        let cache = CacheLayer::new(MemoryStorage::new()).clock(clock()).layer(origin);
        let first = ask(&cache, get(PAGE)).await;
        assert_eq!((first.text(), first.cache().stored), ("hello", more == 0), "{:?}", first.cache());
    }
}

#[tokio::test]
async fn a_response_with_a_full_header_map_passes_unharmed() {
    let len = full().len();
    for status in [200, 206, 301, 304, 404, 500] {
        let fields = [
            FRESH,
            TAG,
            ("location", "/other"),
            ("content-range", "bytes 0-4/10"),
            ("no-vary-search", "params"),
        ];
        let origin = Origin::new(move |_, _| Ok(filled(response(status, &fields, "hello"))));
        let cache = CacheLayer::new(MemoryStorage::new()).cache_status_header(true).layer(origin.clone());
        for method in ["GET", "HEAD", "POST"] {
            for fields in [&[][..], &[("range", "bytes=0-4")]] {
                let seen = ask(&cache, request(method, PAGE, fields)).await;
                assert_eq!((seen.status.as_u16(), seen.headers.len(), seen.text()), (status, len, "hello"));
                assert!(!seen.cache().stored);
            }
        }
        assert_eq!(origin.count(), 6);
    }
}

#[tokio::test]
async fn names_that_304s_add_never_break_a_stored_response() {
    let origin = Origin::new(|parts, number| {
        let mut response = match parts.headers.contains_key("if-none-match") {
            true => response(304, &[STALE, TAG], ""),
            false => response(200, &[STALE, TAG], "hello"),
        };
        response.headers_mut().insert(name(number), HeaderValue::from_static("new"));
        Ok(response)
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let mut full_responses = 0;
    for number in 0..600 {
        let seen = ask(&cache, get(PAGE)).await;
        assert_eq!((seen.status.as_u16(), seen.text()), (200, "hello"), "{number}");
        assert_eq!(seen.field(&format!("x-{number}")), "new", "the newest fields are there");
        assert!(seen.headers.len() <= MOST_FIELDS + 1, "{}", seen.headers.len());
        full_responses += usize::from(!origin.last().headers.contains_key("if-none-match"));
    }
    // Over the limit it is forgotten, and the next one is stored anew.
    assert_eq!(full_responses, 3);
}

#[tokio::test]
async fn a_304_with_a_full_header_map_is_answered_from_the_store_and_ends_it() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.headers.contains_key("if-none-match") {
            true => filled(response(304, &[FRESH, TAG], "")),
            false => response(200, &[STALE, TAG], "hello"),
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).cache_status_header(true).layer(origin.clone());
    for number in 0..4 {
        let seen = ask(&cache, get(PAGE)).await;
        assert_eq!((seen.status.as_u16(), seen.text(), seen.is_hit()), (200, "hello", false));
        assert_eq!(origin.last().headers.contains_key("if-none-match"), number % 2 == 1);
    }
}

#[tokio::test]
async fn what_a_304_makes_too_large_is_not_reused_by_its_older_directives() {
    let origin = Origin::new(|parts, _| {
        Ok(match parts.headers.contains_key("if-none-match") {
            // All of them names that the stored response does not have.
            true => with_lines(response(304, &[("cache-control", "no-cache"), TAG], ""), MOST_FIELDS),
            false => {
                response(200, &[("cache-control", "max-age=1, stale-while-revalidate=600"), TAG], "hello")
            }
        })
    });
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    let seen = ask(&cache, request("GET", PAGE, &[("cache-control", "no-cache")])).await;
    assert_eq!((seen.text(), seen.field("cache-control")), ("hello", "no-cache"));
    assert_eq!(ask(&cache, get(PAGE)).await.cache().fwd(), Some(Fwd::UriMiss));
}

#[tokio::test]
async fn an_updating_head_with_many_fields_leaves_what_is_stored_within_the_limits() {
    for fill in [|response| with_lines(response, MOST_FIELDS), filled] {
        let origin = Origin::new(move |parts, _| {
            let answer = response(200, &[FRESH, TAG], if parts.method == "HEAD" { "" } else { "hello" });
            Ok(if parts.method == "HEAD" { fill(answer) } else { answer })
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        ask(&cache, request("HEAD", PAGE, &[("cache-control", "no-cache")])).await;
        let seen = ask(&cache, get(PAGE)).await;
        assert!(seen.text() == "hello" && !seen.headers.contains_key("x-100"));
        // RFC 9111 section 4.3.5: what cannot be updated "SHOULD be considered to be stale".
        assert!(!seen.is_hit());
    }
}

#[tokio::test]
async fn parts_that_bring_ever_new_names_stay_within_the_limits() {
    let origin = Origin::new(|parts, number| {
        let range = parts.headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap().to_owned();
        let range = format!("bytes {range}/10");
        let body = ["01234", "56789"][number % 2];
        let mut response = response(206, &[FRESH, TAG, ("content-range", &range)], body);
        for more in 0..200 {
            response.headers_mut().insert(name(1000 * number + more), HeaderValue::from_static(""));
        }
        Ok(response)
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for range in ["bytes=0-4", "bytes=5-9", "bytes=0-4", "bytes=5-9"] {
        let seen = ask(&cache, request("GET", PAGE, &[("range", range)])).await;
        assert_eq!(seen.status, 206);
        assert!(seen.headers.len() <= MOST_FIELDS, "{}", seen.headers.len());
    }
    assert_eq!(origin.count(), 2, "the parts are stored beside each other");
}

#[tokio::test]
async fn what_completes_a_part_with_many_new_names_is_passed_on_and_not_stored() {
    let origin = Origin::new(|parts, number| {
        let fields = [FRESH, TAG, ("content-length", "10")];
        let range = [FRESH, TAG, ("content-range", "bytes 6-9/10")];
        Ok(match (parts.headers.contains_key("range"), number) {
            (true, _) => with_lines(response(206, &range, "6789"), MOST_FIELDS),
            (false, 0) => with_body(200, &fields, Frames::of(&["012345"]).then_error().boxed()),
            (false, _) => response(200, &fields, "0123456789"),
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let broken = tower::ServiceExt::oneshot(cache.clone(), get(PAGE)).await.unwrap();
    assert!(http_body_util::BodyExt::collect(broken.into_body()).await.is_err());
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.status.as_u16(), seen.text()), (200, "0123456789"));
}

#[tokio::test]
async fn a_request_with_a_full_header_map_can_be_validated() {
    let origin = Origin::always(&[STALE, TAG, ("last-modified", "Mon, 21 Sep 2026 00:00:00 GMT")], "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for _ in 0..2 {
        let mut asked = get(PAGE);
        *asked.headers_mut() = full();
        assert_eq!(ask(&cache, asked).await.text(), "hello");
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_connection_field_with_very_many_names_costs_little() {
    let names: String = (0..200_000).map(|number| format!("x{number},")).collect();
    let connection = HeaderValue::try_from(names).unwrap();
    let origin = Origin::new(move |_, _| {
        let mut response = with_lines(response(200, &[FRESH], "hello"), MOST_FIELDS - 10);
        response.headers_mut().insert("connection", connection.clone());
        Ok(response)
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    assert!(ask(&cache, get(PAGE)).await.cache().stored, "Connection itself is not stored");
}

#[tokio::test]
async fn a_304_replaces_the_groups_that_the_origin_named_before_and_leaves_the_users() {
    let clock = clock();
    let groups = ["\"a\", \"b\"", "\"b\", \"c\"", "\"d\""];
    let origin = Origin::new(move |parts, number| {
        let fields = [("cache-control", "max-age=1"), TAG, ("cache-groups", groups[number.min(2)])];
        Ok(match parts.headers.contains_key("if-none-match") {
            true => response(304, &fields, ""),
            false => response(200, &fields, "hello"),
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new()).clock(clock.clone());
    let cache = layer.layer(origin);
    let named = async || {
        let page = layer.storage().responses(None, 1).await.unwrap();
        page.items[0].groups.iter().map(|group| group.name.clone()).collect::<Vec<_>>()
    };
    for (wish, expected) in [("mine", vec!["a", "b", "mine"]), ("also", vec!["also", "b", "c", "mine"])] {
        let mut asked = get(PAGE);
        asked.extensions_mut().insert(CacheOverride::new().with_groups([wish]));
        ask(&cache, asked).await;
        assert_eq!(named().await, expected);
        clock.advance(std::time::Duration::from_secs(5));
    }
    ask(&cache, get(PAGE)).await;
    assert_eq!(named().await, ["also", "d", "mine"]);
}

#[tokio::test]
async fn more_groups_than_can_be_kept_are_no_reason_to_lose_an_invalidation() {
    let list = |count: usize, len: usize| {
        (0..count).map(|n| format!("\"{n:0len$}\"")).collect::<Vec<_>>().join(", ")
    };
    for (named, stored) in
        [(list(128, 32), true), (list(129, 32), false), (list(1, 256), true), (list(1, 257), false)]
    {
        let named: &'static str = named.leak();
        let origin = Origin::new(move |_, _| Ok(response(200, &[FRESH, ("cache-groups", named)], "hello")));
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        assert_eq!(ask(&cache, get(PAGE)).await.cache().stored, stored, "{}", named.len());
    }
    for (count, stored) in [(MOST_GROUPS, true), (MOST_GROUPS + 1, false)] {
        let cache = CacheLayer::new(MemoryStorage::new()).layer(Origin::always(&[FRESH], "hello"));
        let mut asked = get(PAGE);
        let groups = (0..count).map(|number| number.to_string());
        asked.extensions_mut().insert(CacheOverride::new().with_groups(groups));
        assert_eq!(ask(&cache, asked).await.cache().stored, stored);
    }
}

#[tokio::test]
async fn groups_do_not_grow_with_every_304() {
    let origin = Origin::new(move |parts, number| {
        let groups = (0..100).map(|group| format!("\"{number}-{group}\"")).collect::<Vec<_>>().join(", ");
        let fields = [STALE, TAG, ("cache-groups", groups.as_str())];
        Ok(match parts.headers.contains_key("if-none-match") {
            true => response(304, &fields, ""),
            false => response(200, &fields, "hello"),
        })
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin);
    for _ in 0..20 {
        ask(&cache, get(PAGE)).await;
        let page = layer.storage().responses(None, 10).await.unwrap();
        assert_eq!(page.items.iter().map(|head| head.groups.len()).collect::<Vec<_>>(), [100]);
    }
}
