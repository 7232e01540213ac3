//! The layer over a storage, one suite for every backend: what a user of the whole sees.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use larder::CacheLayer;
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::status::{Fwd, Outcome};
use larder::storage::DynStorage;
use tower::{Layer, ServiceExt};

use crate::support::{BoxError, Frames, Origin, ask, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// An empty storage of a test's own, and what must live as long as it.
pub(crate) struct Opened {
    storage: Arc<dyn DynStorage>,
    _kept: Box<dyn Any + Send + Sync>,
}

impl Opened {
    pub(crate) fn new(storage: impl larder::storage::Storage, kept: impl Any + Send + Sync) -> Self {
        Self { storage: Arc::new(storage), _kept: Box::new(kept) }
    }

    /// A server may delete by its own clock, so the hand-driven one starts at today's time. Debug builds on a busy
    /// machine may need a moment.
    fn layer(&self, clock: &ManualClock) -> CacheLayer {
        CacheLayer::new(Arc::clone(&self.storage))
            .clock(clock.clone())
            .storage_deadline(Duration::from_secs(20))
            .storage_patience(Duration::from_secs(20))
    }
}

fn clock() -> ManualClock {
    ManualClock::at(SystemClock.now())
}

/// Makes a test of everything in this file. The argument is awaited anew in every test and gives
/// `Option<Opened>`; `None` skips.
macro_rules! end_to_end_tests {
    ($opened:expr) => {
        $crate::end_to_end::end_to_end_tests! { @each [$opened]
            a_fresh_response_is_a_hit
            a_stale_response_is_validated_and_freshened
            variants_stand_side_by_side
            an_unsafe_method_invalidates
            a_chain_of_redirects_is_answered_from_the_store
            a_large_body_streams_in_and_out
            parts_become_one_and_then_the_whole
            a_purge_wins_over_the_fill_under_way
            fifty_callers_at_once_get_whole_bodies
        }
    };
    (@each [$opened:expr] $($name:ident)*) => {
        mod end_to_end {
            #[allow(unused_imports, reason = "the opener may be named from anywhere")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(opened) = $opened.await {
                        $crate::end_to_end::$name(opened).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use end_to_end_tests;

pub(crate) async fn a_fresh_response_is_a_hit(opened: Opened) {
    let origin = Origin::always(&[FRESH, ("x-twice", "1"), ("x-twice", "2")], "hello");
    let clock = clock();
    let cache = opened.layer(&clock).layer(origin.clone());
    let first = ask(&cache, get(PAGE)).await;
    assert_eq!(first.cache().outcome, Outcome::Forwarded(Fwd::UriMiss));
    assert!(first.cache().stored, "{:?}", first.cache());
    clock.advance(Duration::from_secs(20));
    let second = ask(&cache, get(PAGE)).await;
    assert!(second.is_hit(), "{:?}", second.cache());
    assert_eq!((second.text(), second.field("age"), origin.count()), ("hello", "20", 1));
    assert_eq!(second.headers.get_all("x-twice").iter().count(), 2);
}

pub(crate) async fn a_stale_response_is_validated_and_freshened(opened: Opened) {
    let tag = ("etag", "\"v1\"");
    let origin = Origin::new(move |parts, _| {
        let known = parts.headers.get("if-none-match").is_some_and(|tag| tag == "\"v1\"");
        Ok(if known {
            response(304, &[tag, FRESH, ("x-new", "1")], "")
        } else {
            response(200, &[tag, ("cache-control", "max-age=10")], "body")
        })
    });
    let clock = clock();
    let cache = opened.layer(&clock).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    clock.advance(Duration::from_secs(11));
    let validated = ask(&cache, get(PAGE)).await;
    assert_eq!(validated.cache().outcome, Outcome::Forwarded(Fwd::Stale));
    assert_eq!((validated.status.as_u16(), validated.text()), (200, "body"));
    clock.advance(Duration::from_secs(30));
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit(), "{:?}", hit.cache());
    assert_eq!((hit.text(), hit.field("x-new"), origin.count()), ("body", "1", 2));
}

pub(crate) async fn variants_stand_side_by_side(opened: Opened) {
    let origin = Origin::new(|parts, _| {
        let body = if parts.headers["accept-language"] == "de" { "hallo" } else { "hello" };
        Ok(response(200, &[FRESH, ("vary", "accept-language")], body))
    });
    let cache = opened.layer(&clock()).layer(origin.clone());
    for _ in 0..2 {
        for (language, body) in [("de", "hallo"), ("en", "hello")] {
            assert_eq!(
                ask(&cache, request("GET", PAGE, &[("accept-language", language)])).await.text(),
                body
            );
        }
    }
    assert_eq!(origin.count(), 2);
}

pub(crate) async fn an_unsafe_method_invalidates(opened: Opened) {
    let origin = Origin::always(&[FRESH], "x");
    let cache = opened.layer(&clock()).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit());
    ask(&cache, request("POST", PAGE, &[])).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
}

pub(crate) async fn a_chain_of_redirects_is_answered_from_the_store(opened: Opened) {
    let origin = Origin::new(|parts, _| {
        let step: u8 = parts.uri.path().trim_start_matches('/').parse().unwrap();
        Ok(if step == 3 {
            response(200, &[FRESH], "the end")
        } else {
            let next = format!("/{}", step + 1);
            with_body(
                301,
                &[FRESH, ("location", &next), ("content-length", "9")],
                Frames::of(&["see there"]).boxed(),
            )
        })
    });
    let cache = opened.layer(&clock()).layer(origin.clone());
    for _ in 0..2 {
        for step in 0..3 {
            let seen = ask(&cache, get(&format!("http://example.com/{step}"))).await;
            assert_eq!((seen.status.as_u16(), seen.text()), (301, "see there"));
        }
        assert_eq!(ask(&cache, get("http://example.com/3")).await.text(), "the end");
    }
    assert_eq!(origin.count(), 4);
    let usage = opened.storage.usage().await.unwrap();
    assert_eq!((usage.responses, usage.aliases), (1, 3));
}

pub(crate) async fn a_large_body_streams_in_and_out(opened: Opened) {
    const PIECE: &str = "0123456789abcdef";
    let piece: &'static str = PIECE.repeat(4096).leak();
    let pieces: &'static [&'static str] = vec![piece; 48].leak();
    let chunked = [FRESH, ("transfer-encoding", "chunked")];
    let origin = Origin::new(move |_, _| Ok(with_body(200, &chunked, Frames::of(pieces).boxed())));
    let cache = opened.layer(&clock()).layer(origin.clone());
    let whole = Bytes::from(piece.repeat(48));
    assert_eq!(ask(&cache, get(PAGE)).await.body.len(), whole.len());
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit(), "{:?}", hit.cache());
    assert!(hit.body == whole, "the body came back as it was");
    assert_eq!(origin.count(), 1);
}

pub(crate) async fn parts_become_one_and_then_the_whole(opened: Opened) {
    for len in [100, 100_000] {
        let origin = Origin::new(move |parts, _| {
            let (first, last) = parts.headers["range"].to_str()?["bytes=".len()..].split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
            let content_range = format!("bytes {first}-{last}/{len}");
            let fields = [FRESH, ("etag", "\"a\""), ("content-range", content_range.as_str())];
            let body = Full::new(counting(len).slice(first..=last)).map_err(|never| match never {});
            Ok(with_body(206, &fields, body.boxed_unsync()))
        });
        let cache = opened.layer(&clock()).layer(origin.clone());
        let page = format!("{PAGE}/{len}");
        let range = |first: usize, last: usize| {
            request("GET", &page, &[("range", format!("bytes={first}-{last}").as_str())])
        };
        let at = |percent: usize| len / 100 * percent;
        // Two with a hole between them, one that makes the first longer, and one that fills the hole.
        for (first, last) in [(0, at(20)), (at(70), len - 1), (at(10), at(40)), (at(40), at(70))] {
            let seen = ask(&cache, range(first, last)).await;
            assert_eq!((seen.status.as_u16(), &seen.body), (206, &counting(len).slice(first..=last)));
            assert!(seen.cache().stored, "{:?}", seen.cache());
            if last == at(40) {
                let hit = ask(&cache, range(at(5), at(35))).await;
                assert!(hit.is_hit(), "{:?}", hit.cache());
                assert_eq!(hit.body, counting(len).slice(at(5)..=at(35)));
            }
        }
        let whole = ask(&cache, get(&page)).await;
        assert!(whole.is_hit(), "{:?}", whole.cache());
        assert_eq!((whole.status.as_u16(), whole.body, origin.count()), (200, counting(len), 4));
    }
}

fn counting(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>().into()
}

pub(crate) async fn a_purge_wins_over_the_fill_under_way(opened: Opened) {
    for purge in ["remove", "clear"] {
        let (mut sending, body) = Channel::<Bytes, BoxError>::new(4);
        let body = std::sync::Mutex::new(Some(body));
        let origin = Origin::new(move |_, _| {
            let chunked = [FRESH, ("transfer-encoding", "chunked")];
            Ok(match body.lock().unwrap().take() {
                Some(body) => with_body(200, &chunked, body.boxed_unsync()),
                None => response(200, &[FRESH], "new"),
            })
        });
        let cache = opened.layer(&clock()).layer(origin);
        let mut filling = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
        sending.send_data(Bytes::from(vec![b'o'; 100_000])).await.unwrap();
        filling.frame().await.unwrap().unwrap();
        match purge {
            "remove" => {
                ask(&cache, request("POST", PAGE, &[])).await;
            }
            _ => opened.storage.clear(None).await.unwrap(),
        }
        sending.send_data(Bytes::from_static(b"ld")).await.unwrap();
        drop(sending);
        filling.collect().await.unwrap();
        let seen = ask(&cache, get(PAGE)).await;
        assert_eq!((seen.is_hit(), seen.text()), (false, "new"), "after {purge}");
        opened.storage.clear(None).await.unwrap();
    }
}

pub(crate) async fn fifty_callers_at_once_get_whole_bodies(opened: Opened) {
    let origin = Origin::new(|parts, _| {
        let number: usize = parts.uri.path().trim_start_matches('/').parse().unwrap();
        let body: &'static str = format!("{number} ").repeat(1 + number * 4_000).leak();
        Ok(response(200, &[FRESH], body))
    });
    let cache = opened.layer(&clock()).layer(origin.clone());
    let caller = async |caller: usize| {
        for step in 0..6 {
            let number = (caller + step) % 7;
            let seen = ask(&cache, get(&format!("http://example.com/{number}"))).await;
            assert_eq!(seen.text(), format!("{number} ").repeat(1 + number * 4_000));
        }
    };
    futures_util::future::join_all((0..50).map(caller)).await;
    for number in 0..7 {
        assert!(ask(&cache, get(&format!("http://example.com/{number}"))).await.is_hit());
    }
    assert_eq!(origin.count(), 7, "each page is fetched once");
}
