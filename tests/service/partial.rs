//! Partial content through the layer (RFC 9111 sections 3.3 and 3.4).

use larder::CacheLayer;
use larder::status::{Fwd, Outcome};
use larder::storage::MemoryStorage;
use tower::{Layer, ServiceExt};

use crate::support::{Frames, Origin, ask, clock, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
const WHOLE: &str = "0123456789";

/// Breaks off the first whole response after six bytes, and honours ranges.
fn origin(tag: &'static str) -> Origin {
    Origin::new(move |parts, number| {
        let range = parts.headers.get("range").map(|range| range.to_str().unwrap().to_owned());
        let fields = [("cache-control", "max-age=60"), ("etag", tag)];
        let part = |range: &'static str, body| {
            response(206, &[fields[0], fields[1], ("content-range", range)], body)
        };
        Ok(match range.as_deref() {
            Some("bytes=6-") => {
                assert_eq!(parts.headers["if-range"], tag);
                part("bytes 6-9/10", "6789")
            }
            Some("bytes=0-3") => part("bytes 0-3/10", "0123"),
            Some("bytes=4-") => part("bytes 4-9/10", "456789"),
            Some(other) => panic!("{other}"),
            None if number == 0 => {
                let body = Frames::of(&["012345"]).then_error().boxed();
                with_body(200, &[fields[0], fields[1], ("content-length", "10")], body)
            }
            None => response(200, &fields, WHOLE),
        })
    })
}

#[tokio::test]
async fn a_response_that_broke_off_is_completed_with_one_range_request() {
    let origin = origin("\"a\"");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let broken = cache.clone().oneshot(get(PAGE)).await.unwrap();
    assert!(http_body_util::BodyExt::collect(broken.into_body()).await.is_err());
    let completed = ask(&cache, get(PAGE)).await;
    assert_eq!((completed.status.as_u16(), completed.text()), (200, WHOLE));
    assert_eq!(completed.cache().outcome, Outcome::Forwarded(Fwd::Partial));
    assert_eq!(completed.field("content-length"), "10");
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit());
    assert_eq!((hit.text(), origin.count()), (WHOLE, 2));
}

#[tokio::test]
async fn a_range_inside_the_part_that_arrived_is_answered_from_it() {
    let origin = origin("\"a\"");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let broken = cache.clone().oneshot(get(PAGE)).await.unwrap();
    assert!(http_body_util::BodyExt::collect(broken.into_body()).await.is_err());
    let seen = ask(&cache, request("GET", PAGE, &[("range", "bytes=1-3")])).await;
    assert_eq!(
        (seen.status.as_u16(), seen.text(), seen.field("content-range")),
        (206, "123", "bytes 1-3/10")
    );
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_stored_206_answers_its_range_and_is_completed_for_the_whole() {
    let origin = origin("\"a\"");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let first = || request("GET", PAGE, &[("range", "bytes=0-3")]);
    ask(&cache, first()).await;
    let hit = ask(&cache, first()).await;
    assert!(hit.is_hit(), "{:?}", hit.cache());
    assert_eq!((hit.status.as_u16(), hit.text()), (206, "0123"));
    let whole = ask(&cache, get(PAGE)).await;
    assert_eq!((whole.status.as_u16(), whole.text(), origin.count()), (200, WHOLE, 2));
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn with_a_weak_validator_the_whole_is_fetched_again() {
    let origin = origin("W/\"a\"");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let broken = cache.clone().oneshot(get(PAGE)).await.unwrap();
    assert!(http_body_util::BodyExt::collect(broken.into_body()).await.is_err());
    assert_eq!(ask(&cache, get(PAGE)).await.text(), WHOLE);
    assert!(!origin.last().headers.contains_key("range"));
}

#[tokio::test]
async fn a_response_to_post_with_its_own_content_location_answers_gets() {
    let fields = [("cache-control", "max-age=60"), ("content-location", "/page")];
    let origin = Origin::new(move |_, _| Ok(response(200, &fields, "posted")));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, request("POST", PAGE, &[])).await;
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit());
    assert_eq!((hit.text(), origin.count()), ("posted", 1));
}

#[tokio::test]
async fn a_last_modified_well_before_the_date_completes_as_well() {
    let fields = |range| {
        let date = "Sun, 20 Sep 2026 10:00:00 GMT";
        let modified = "Sun, 20 Sep 2026 09:00:00 GMT";
        [
            ("cache-control", "max-age=31536000"),
            ("date", date),
            ("last-modified", modified),
            ("content-range", range),
        ]
    };
    let origin = Origin::new(move |parts, _| {
        Ok(match parts.headers["range"].to_str().unwrap() {
            "bytes=0-3" => response(206, &fields("bytes 0-3/10"), "0123"),
            "bytes=4-" => {
                assert_eq!(parts.headers["if-range"], "Sun, 20 Sep 2026 09:00:00 GMT");
                response(206, &fields("bytes 4-9/10"), "456789")
            }
            other => panic!("{other}"),
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock()).layer(origin.clone());
    ask(&cache, request("GET", PAGE, &[("range", "bytes=0-3")])).await;
    let whole = ask(&cache, get(PAGE)).await;
    assert_eq!((whole.status.as_u16(), whole.text()), (200, WHOLE));
    assert!(ask(&cache, get(PAGE)).await.is_hit());
    assert_eq!(origin.count(), 2);
}
