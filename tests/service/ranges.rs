//! An origin that honours ranges, and what the cache makes of them (RFC 9111 sections 3.3 and 3.4).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::entry::{StoredBody, StoredHead};
use larder::status::{Fwd, Outcome};
use larder::storage::{BodyReader, DynStorage, MemoryStorage, Storage};
use larder::{Cache, CacheLayer, CacheStatus};
use proptest::prelude::*;
use tower::{Layer, ServiceExt};

use crate::support::{BoxError, Frames, Origin, OriginBody, Seen, ask, get, request, with_body};

const PAGE: &str = "http://example.com/page";
const MAX_AGE: u64 = 60;

/// What the origin has, and how it sends it.
#[derive(Debug)]
struct Site {
    version: u8,
    len: usize,
    /// Breaks the connection off after so many bytes of content.
    cut: Option<usize>,
    /// Says `Content-Length`.
    sized: bool,
    /// Its clock is so many seconds off.
    skew: i64,
    /// It is out of order.
    fails: bool,
    clock: ManualClock,
}

/// The bytes of a version: any two differ at every place.
fn content(version: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ ((at >> 8) as u8) ^ version.wrapping_mul(37)).collect()
}

fn tag(version: u8) -> String {
    format!("\"v{version}\"")
}

impl Site {
    fn answer(&self, asked: &Parts) -> Response<OriginBody> {
        let field = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap());
        let date = httpdate::fmt_http_date(
            std::time::UNIX_EPOCH
                + Duration::from_secs(u64::try_from(self.clock.now().as_secs() + self.skew).unwrap()),
        );
        let (tag, max_age) = (tag(self.version), format!("max-age={MAX_AGE}, stale-if-error=1000"));
        let mut fields = vec![("etag", tag.clone()), ("cache-control", max_age), ("date", date)];
        let send = |status, fields: &[(&str, String)], content: &[u8]| {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            with_body(status, &fields, self.body(content))
        };
        if self.fails {
            return send(503, &[], b"later");
        }
        if field("if-none-match").is_some_and(|tags| tags.split(", ").any(|one| one == tag)) {
            return send(304, &fields, &[]);
        }
        let content = content(self.version, self.len);
        let range = field("range").filter(|_| field("if-range").is_none_or(|one| one == tag));
        let Some(range) = range else {
            if self.sized {
                fields.push(("content-length", self.len.to_string()));
            }
            return send(200, &fields, &content);
        };
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let end = self.len - 1;
        let (first, last) = match (first.parse().ok(), last.parse().ok()) {
            (Some(first), last) => (first, last.unwrap_or(end).min(end)),
            (None, Some(length)) => (self.len.saturating_sub(length), end),
            (None, None) => panic!("{range}"),
        };
        if first > last {
            fields.push(("content-range", format!("bytes */{}", self.len)));
            return send(416, &fields, &[]);
        }
        fields.push(("content-range", format!("bytes {first}-{last}/{}", self.len)));
        if self.sized {
            fields.push(("content-length", (last - first + 1).to_string()));
        }
        send(206, &fields, &content[first..=last])
    }

    fn body(&self, content: &[u8]) -> OriginBody {
        let cut = self.cut.filter(|cut| *cut < content.len());
        let content = Bytes::copy_from_slice(&content[..cut.unwrap_or(content.len())]);
        let pieces = content.chunks(content.len().div_ceil(3).max(1));
        let frames = pieces.map(|piece| Ok(Frame::data(content.slice_ref(piece)))).collect();
        let frames = Frames { frames };
        if cut.is_some() { frames.then_error().boxed() } else { frames.boxed() }
    }
}

struct Setting<S> {
    site: Arc<Mutex<Site>>,
    origin: Origin,
    cache: Cache<Origin>,
    storage: Arc<S>,
    clock: ManualClock,
}

impl<S: Storage> Setting<S> {
    fn new(storage: S, len: usize) -> Self {
        Self::over(Arc::new(storage), len)
    }

    fn over(storage: Arc<S>, len: usize) -> Self {
        let clock = ManualClock::at(SystemClock.now());
        let site =
            Site { version: 0, len, cut: None, sized: true, skew: 0, fails: false, clock: clock.clone() };
        let site = Arc::new(Mutex::new(site));
        let answering = Arc::clone(&site);
        let origin = Origin::new(move |parts, _| Ok(answering.lock().unwrap().answer(parts)));
        let layer = CacheLayer::new(Arc::clone(&storage) as Arc<dyn DynStorage>)
            .clock(clock.clone())
            .storage_deadline(Duration::from_secs(20))
            .storage_patience(Duration::from_secs(20));
        Self { site, cache: layer.layer(origin.clone()), origin, storage, clock }
    }

    async fn range(&self, range: &str) -> Seen {
        ask(&self.cache, request("GET", PAGE, &[("range", range)])).await
    }

    /// Asks for everything, and gets no more than so many bytes.
    async fn broken(&self, asked: Request<Full<Bytes>>, cut: usize) {
        self.site.lock().unwrap().cut = Some(cut);
        let response = self.cache.clone().oneshot(asked).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
        self.site.lock().unwrap().cut = None;
    }

    /// What is stored: `first-last` of each part, or `whole`.
    async fn stored(&self) -> Vec<String> {
        let page = Storage::responses(&*self.storage, None, 100).await.unwrap();
        let mut spans: Vec<_> = page.items.iter().map(span).collect();
        spans.sort();
        spans
    }
}

fn span(head: &StoredHead) -> String {
    head.range
        .map_or("whole".to_owned(), |range| format!("{}-{}", range.first, range.first + head.body_len() - 1))
}

fn memory(len: usize) -> Setting<MemoryStorage> {
    Setting::new(MemoryStorage::new(), len)
}

fn forwarded(fwd: Fwd) -> Outcome {
    Outcome::Forwarded(fwd)
}

#[tokio::test]
async fn ranges_that_touch_are_stored_as_one_and_the_caller_gets_its_own() {
    let setting = memory(100);
    setting.range("bytes=10-19").await;
    let seen = setting.range("bytes=15-29").await;
    assert_eq!((seen.status.as_u16(), seen.field("content-range")), (206, "bytes 15-29/100"));
    assert_eq!(seen.body, content(0, 100)[15..30]);
    assert_eq!(seen.cache().outcome, forwarded(Fwd::Partial));
    assert!(seen.cache().stored);
    let sent = setting.origin.last().headers;
    assert_eq!(sent["range"], "bytes=15-29", "the client's own range");
    assert!(!sent.contains_key("if-range"));
    assert_eq!(setting.stored().await, ["10-29"]);
    let hit = setting.range("bytes=12-28").await;
    assert!(hit.is_hit());
    assert_eq!((&hit.body[..], hit.field("content-range")), (&content(0, 100)[12..29], "bytes 12-28/100"));
}

#[tokio::test]
async fn a_range_that_fills_a_hole_joins_all_three_and_the_whole_is_complete() {
    let setting = memory(100);
    for range in ["bytes=0-29", "bytes=-30"] {
        setting.range(range).await;
    }
    assert_eq!(setting.stored().await, ["0-29", "70-99"]);
    setting.range("bytes=30-69").await;
    assert_eq!(setting.stored().await, ["whole"]);
    let whole = ask(&setting.cache, get(PAGE)).await;
    assert!(whole.is_hit());
    assert_eq!((whole.status.as_u16(), whole.field("content-length")), (200, "100"));
    assert_eq!((whole.body.to_vec(), whole.headers.get("content-range")), (content(0, 100), None));
    assert_eq!(setting.origin.count(), 3);
}

#[tokio::test]
async fn the_whole_is_completed_by_what_lies_between_two_parts() {
    let setting = memory(100);
    setting.range("bytes=0-29").await;
    setting.range("bytes=-30").await;
    let whole = ask(&setting.cache, get(PAGE)).await;
    assert_eq!((whole.status.as_u16(), whole.body.to_vec()), (200, content(0, 100)));
    assert_eq!(setting.origin.last().headers["range"], "bytes=30-69");
    assert_eq!(whole.field("content-length"), "100");
    assert_eq!(setting.stored().await, ["whole"]);
    assert!(ask(&setting.cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn a_206_with_everything_answers_full_requests() {
    let setting = memory(100);
    assert_eq!(setting.range("bytes=0-").await.status, 206);
    let whole = ask(&setting.cache, get(PAGE)).await;
    assert!(whole.is_hit());
    assert_eq!((whole.status.as_u16(), whole.body.to_vec()), (200, content(0, 100)));
}

#[tokio::test]
async fn a_complete_response_outlives_a_206_and_is_freshened_by_it() {
    let setting = memory(100);
    ask(&setting.cache, get(PAGE)).await;
    setting.clock.advance(Duration::from_secs(MAX_AGE - 1));
    // The condition of its own keeps the origin from a 304.
    let fields = [("range", "bytes=5-6"), ("if-match", "\"v0\"")];
    let seen = ask(&setting.cache, request("GET", PAGE, &fields)).await;
    assert_eq!((seen.status.as_u16(), seen.cache().stored), (206, false));
    assert_eq!(seen.cache().detail.as_deref(), Some("held already"));
    assert_eq!(setting.stored().await, ["whole"]);
    setting.clock.advance(Duration::from_secs(MAX_AGE - 1));
    let whole = ask(&setting.cache, get(PAGE)).await;
    assert!(whole.is_hit());
    assert_eq!(whole.body.to_vec(), content(0, 100));
}

#[tokio::test]
async fn what_has_changed_is_neither_combined_nor_kept() {
    let setting = memory(100);
    ask(&setting.cache, get(PAGE)).await;
    setting.site.lock().unwrap().version = 1;
    let asked = |range| request("GET", PAGE, &[("range", range), ("cache-control", "no-cache")]);
    let seen = ask(&setting.cache, asked("bytes=10-19")).await;
    assert_eq!((seen.status.as_u16(), &seen.body[..]), (206, &content(1, 100)[10..20]));
    assert_eq!(setting.stored().await, ["10-19"]);
    setting.site.lock().unwrap().version = 2;
    ask(&setting.cache, asked("bytes=20-29")).await;
    assert_eq!(setting.stored().await, ["20-29"]);
}

#[tokio::test]
async fn a_stale_part_is_validated_and_serves_the_range() {
    let setting = memory(100);
    setting.range("bytes=10-29").await;
    setting.clock.advance(Duration::from_secs(MAX_AGE + 1));
    let seen = setting.range("bytes=12-15").await;
    assert_eq!((seen.status.as_u16(), seen.field("content-range")), (206, "bytes 12-15/100"));
    assert_eq!((&seen.body[..], seen.field("content-length")), (&content(0, 100)[12..16], "4"));
    let status = seen.cache();
    assert_eq!((status.outcome, status.stored), (forwarded(Fwd::Stale), false));
    assert_eq!(status.fwd_status.map(|status| status.as_u16()), Some(304));
    let sent = setting.origin.last().headers;
    assert_eq!(
        (&sent["range"], &sent["if-none-match"]),
        (&"bytes=12-15".parse().unwrap(), &tag(0).parse().unwrap())
    );
    assert!(setting.range("bytes=10-29").await.is_hit());
    // Changed meanwhile.
    setting.clock.advance(Duration::from_secs(MAX_AGE + 1));
    setting.site.lock().unwrap().version = 1;
    let seen = setting.range("bytes=12-15").await;
    assert_eq!(seen.body, content(1, 100)[12..16]);
    assert_eq!((seen.cache().outcome, seen.cache().stored), (forwarded(Fwd::Stale), true));
    assert_eq!(setting.stored().await, ["12-15"]);
}

#[tokio::test]
async fn a_stale_part_asks_on_behalf_of_if_range() {
    let setting = memory(100);
    setting.range("bytes=10-29").await;
    setting.clock.advance(Duration::from_secs(MAX_AGE + 1));
    setting.site.lock().unwrap().version = 1;
    let fields = [("range", "bytes=12-15"), ("if-range", "\"v0\"")];
    let seen = ask(&setting.cache, request("GET", PAGE, &fields)).await;
    assert_eq!((seen.status.as_u16(), seen.body.to_vec()), (200, content(1, 100)));
    assert_eq!(setting.origin.last().headers["if-range"], "\"v0\"");
    assert_eq!(setting.stored().await, ["whole"]);
}

#[tokio::test]
async fn a_refresh_of_a_part_asks_for_no_more() {
    let origin = Origin::new(|parts, number| {
        let control = ("cache-control", "max-age=10, stale-while-revalidate=60");
        let fields = [control, ("etag", "\"a\""), ("content-range", "bytes 0-3/10")];
        if number > 0 {
            assert_eq!(parts.headers["range"], "bytes=1-2");
            assert_eq!(parts.headers["if-none-match"], "\"a\"");
            return Ok(crate::support::response(304, &fields[..2], ""));
        }
        Ok(crate::support::response(206, &fields, "0123"))
    });
    let clock = ManualClock::at(SystemClock.now());
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin.clone());
    let asked = |range| request("GET", PAGE, &[("range", range)]);
    ask(&cache, asked("bytes=0-3")).await;
    clock.advance(Duration::from_secs(20));
    let stale = ask(&cache, asked("bytes=1-2")).await;
    assert_eq!((stale.text(), stale.cache().ttl), ("12", Some(-10)));
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let fresh = ask(&cache, asked("bytes=1-2")).await;
    assert_eq!((fresh.text(), fresh.cache().ttl, origin.count()), ("12", Some(10), 2));
}

#[tokio::test]
async fn a_response_that_broke_off_goes_on_wherever_the_client_goes_on() {
    let whole = content(0, 100);
    // Inside, across its end, from its end on, beyond, and all.
    for (range, fwd, stored) in [
        (Some("bytes=3-20"), None, "0-39"),
        (Some("bytes=30-49"), Some("bytes=30-49"), "0-49"),
        (Some("bytes=40-"), Some("bytes=40-"), "whole"),
        (Some("bytes=50-59"), Some("bytes=50-59"), "0-39 50-59"),
        (Some("bytes=-100"), Some("bytes=-100"), "whole"),
        (None, Some("bytes=40-"), "whole"),
    ] {
        let setting = memory(100);
        setting.broken(get(PAGE), 40).await;
        assert_eq!(setting.stored().await, ["0-39"]);
        let asked = range.map_or_else(|| get(PAGE), |range| request("GET", PAGE, &[("range", range)]));
        let seen = ask(&setting.cache, asked).await;
        match seen.field("content-range").strip_prefix("bytes ").and_then(|range| range.split_once('/')) {
            Some((range, "100")) => {
                let (first, last) = range.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                assert_eq!((seen.status.as_u16(), &seen.body[..]), (206, &whole[first..=last]));
            }
            _ => assert_eq!((seen.status.as_u16(), seen.body.to_vec(), range), (200, whole.clone(), None)),
        }
        assert_eq!(seen.is_hit(), fwd.is_none(), "{range:?}");
        if let Some(fwd) = fwd {
            assert_eq!(setting.origin.last().headers["range"], fwd);
        }
        assert_eq!(setting.stored().await.join(" "), stored, "{range:?}");
    }
}

#[tokio::test]
async fn what_breaks_off_again_is_kept_as_far_as_it_came() {
    let setting = memory(100);
    setting.broken(get(PAGE), 40).await;
    setting.broken(get(PAGE), 20).await;
    assert_eq!(setting.stored().await, ["0-59"], "a completion");
    setting.broken(request("GET", PAGE, &[("range", "bytes=60-")]), 10).await;
    assert_eq!(setting.stored().await, ["0-69"], "a 206");
    setting.broken(request("GET", PAGE, &[("if-match", "\"v0\"")]), 30).await;
    assert_eq!(setting.stored().await, ["0-69"], "no more came than is held");
    let whole = ask(&setting.cache, get(PAGE)).await;
    assert_eq!(
        (whole.body.to_vec(), &setting.origin.last().headers["range"]),
        (content(0, 100), &"bytes=70-".parse().unwrap())
    );
    assert_eq!(setting.stored().await, ["whole"]);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn large_parts_are_combined_as_well() {
    let len = 3_000_000;
    let setting = Setting::new(larder::storage::SqliteStorage::in_memory().unwrap(), len);
    setting.broken(get(PAGE), 2_000_000).await;
    setting.range("bytes=1500000-").await;
    for _ in 0..2000 {
        if setting.stored().await == ["whole"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let whole = ask(&setting.cache, get(PAGE)).await;
    assert!(whole.is_hit(), "{:?}", setting.stored().await);
    assert_eq!(whole.body, content(0, len));
}

#[tokio::test]
async fn a_206_that_is_shorter_or_longer_than_it_says_is_not_what_it_says() {
    for (body, stored) in [("012", vec!["0-2"]), ("01234", vec![])] {
        let origin = Origin::new(move |_, _| {
            let fields =
                [("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-range", "bytes 0-3/10")];
            Ok(with_body(206, &fields, Frames::of(&[body]).boxed()))
        });
        let storage = Arc::new(MemoryStorage::new());
        let cache = CacheLayer::new(Arc::clone(&storage) as Arc<dyn DynStorage>).layer(origin);
        let seen = ask(&cache, request("GET", PAGE, &[("range", "bytes=0-3")])).await;
        assert_eq!(seen.text(), body, "passed on as it is");
        let page = Storage::responses(&*storage, None, 10).await.unwrap();
        assert_eq!(page.items.iter().map(span).collect::<Vec<_>>(), stored);
    }
}

/// One step of a random story.
#[derive(Clone, Debug)]
enum Step {
    Ask(Asking),
    /// The representation changes, and may have another length.
    Change(Option<u16>),
    /// A server that is behind answers.
    Back(u8),
    Wait(u64),
    /// An unsafe request.
    Post,
}

#[derive(Clone, Debug)]
struct Asking {
    range: Option<Wanted>,
    cut: Option<u16>,
    sized: bool,
    skew: i64,
    fails: bool,
    no_cache: bool,
    if_range: bool,
}

/// A range, as fractions of the length.
#[derive(Clone, Debug)]
enum Wanted {
    Between(u16, u16),
    From(u16),
    Last(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let range = prop_oneof![
        4 => (any::<u16>(), any::<u16>()).prop_map(|(one, other)| Wanted::Between(one, other)),
        1 => any::<u16>().prop_map(Wanted::From),
        1 => any::<u16>().prop_map(Wanted::Last),
    ];
    let cut = prop_oneof![3 => Just(None), 1 => any::<u16>().prop_map(Some)];
    let asked = (
        prop::option::weighted(0.75, range),
        cut,
        any::<bool>(),
        prop_oneof![3 => Just(0), 1 => -100..100i64],
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    let asked = asked.prop_map(|(range, cut, sized, skew, fails, no_cache, if_range)| {
        Step::Ask(Asking { range, cut, sized, skew, fails, no_cache, if_range })
    });
    prop_oneof![
        12 => asked,
        1 => prop::option::of(any::<u16>()).prop_map(Step::Change),
        1 => any::<u8>().prop_map(Step::Back),
        1 => (1..2 * MAX_AGE).prop_map(Step::Wait),
        1 => Just(Step::Post),
    ]
}

fn story() -> impl Strategy<Value = (usize, Vec<Step>)> {
    // Beyond 64 KiB a body is stored piece by piece, and SQLite streams it.
    let len = prop_oneof![6 => 1..60usize, 1 => 70_000..150_000usize];
    (len, prop::collection::vec(step(), 1..14))
}

impl<S: Storage> Setting<S> {
    async fn play(&self, steps: &[Step]) {
        let len = self.site.lock().unwrap().len;
        let mut lens = vec![len];
        for step in steps {
            match step {
                Step::Change(new) => {
                    let mut site = self.site.lock().unwrap();
                    site.version = u8::try_from(lens.len()).unwrap();
                    site.len = new.map_or(len, |new| scaled(new, 2 * len).max(1));
                    lens.push(site.len);
                }
                Step::Back(version) => {
                    let mut site = self.site.lock().unwrap();
                    let version = usize::from(*version) % lens.len();
                    (site.version, site.len) = (u8::try_from(version).unwrap(), lens[version]);
                }
                Step::Wait(seconds) => self.clock.advance(Duration::from_secs(*seconds)),
                Step::Post => {
                    self.settle();
                    ask(&self.cache, request("POST", PAGE, &[])).await;
                }
                Step::Ask(asking) => {
                    let current = {
                        let mut site = self.site.lock().unwrap();
                        site.cut = asking.cut.map(|cut| scaled(cut, site.len));
                        (site.sized, site.skew, site.fails) = (asking.sized, asking.skew, asking.fails);
                        (site.version, site.len)
                    };
                    self.ask_and_check(asking, current, &lens).await;
                }
            }
            self.check_stored(&lens).await;
        }
    }

    /// The next answer is sent as it should be.
    fn settle(&self) {
        let mut site = self.site.lock().unwrap();
        (site.cut, site.fails) = (None, false);
    }

    async fn ask_and_check(&self, asking: &Asking, (version, len): (u8, usize), lens: &[usize]) {
        let (current, range) = (tag(version), asking.range.as_ref().map(|range| range.header(len)));
        let mut fields = Vec::new();
        fields.extend(range.as_deref().map(|range| ("range", range)));
        fields.extend(asking.no_cache.then_some(("cache-control", "no-cache")));
        fields.extend(asking.if_range.then_some(("if-range", current.as_str())));
        let response = self.cache.clone().oneshot(request("GET", PAGE, &fields)).await.unwrap();
        let (parts, mut body) = response.into_parts();
        let (mut got, mut whole) = (Vec::new(), true);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => got.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        let field = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
        if parts.status == 503 {
            assert!(asking.fails);
            return;
        }
        let version: usize = field("etag").unwrap().trim_matches(['"', 'v']).parse().unwrap();
        let hit = parts.extensions.get::<larder::status::CacheStatus>().unwrap().outcome == Outcome::Hit;
        assert!(
            hit || asking.fails || field("etag") == Some(&current),
            "what the origin was asked is current"
        );
        let representation = content(u8::try_from(version).unwrap(), lens[version]);
        let complete = representation.len();
        let expected = match parts.status.as_u16() {
            200 => &representation[..],
            206 => {
                let (place, len) = field("content-range").unwrap()["bytes ".len()..].split_once('/').unwrap();
                let (first, last) = place.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                assert_eq!(len.parse(), Ok(complete));
                assert!(range.is_some(), "a part for a whole");
                &representation[first..=last]
            }
            416 => {
                assert_eq!(field("content-range"), Some(format!("bytes */{complete}").as_str()));
                assert!(range.is_some(), "there was no range to be satisfied");
                &[]
            }
            other => panic!("{other} for {range:?}"),
        };
        assert!(expected.starts_with(&got), "bytes of one representation: {} {range:?}", parts.status);
        assert!(!whole || got.len() == expected.len(), "short as complete: {} {range:?}", parts.status);
        if let Some(len) = field("content-length") {
            assert_eq!(len.parse(), Ok(expected.len()));
        }
    }

    /// Nothing that is stored mixes representations, or says that it is more than it is.
    async fn check_stored(&self, lens: &[usize]) {
        let page = Storage::responses(&*self.storage, None, 100).await.unwrap();
        let Some(head) = page.items.first() else { return };
        let lookup = Storage::lookup(&*self.storage, &head.key).await.unwrap();
        assert!(lookup.responses.len() <= 9, "{} parts", lookup.responses.len());
        for stored in lookup.responses {
            let head = &stored.head;
            let body = match stored.body {
                StoredBody::Inline(body) => body.to_vec(),
                StoredBody::Shared(pieces) => pieces.concat(),
                _ => {
                    // What is being replaced at this moment may be gone already.
                    let Ok(mut reader) = Storage::open(&*self.storage, head).await else { continue };
                    let mut body = Vec::new();
                    while let Ok(Some(piece)) = reader.next().await {
                        body.extend_from_slice(&piece);
                    }
                    body
                }
            };
            let version: usize =
                head.headers["etag"].to_str().unwrap().trim_matches(['"', 'v']).parse().unwrap();
            let representation = content(u8::try_from(version).unwrap(), lens[version]);
            let first = head.range.map_or(0, |range| usize::try_from(range.first).unwrap());
            assert_eq!(body, representation[first..first + body.len()], "{}", span(head));
            if head.range.is_none() {
                assert_eq!((head.status.as_u16(), body.len()), (200, representation.len()));
            }
        }
    }
}

fn scaled(fraction: u16, len: usize) -> usize {
    usize::from(fraction) * len / usize::from(u16::MAX)
}

impl Wanted {
    fn header(&self, len: usize) -> String {
        match self {
            Self::Between(one, other) => {
                let (one, other) = (scaled(*one, len), scaled(*other, len));
                format!("bytes={}-{}", one.min(other), one.max(other))
            }
            Self::From(first) => format!("bytes={}-", scaled(*first, len)),
            Self::Last(length) => format!("bytes=-{}", scaled(*length, len).max(1)),
        }
    }
}

fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_memory_every_answer_is_of_one_representation((len, steps) in story()) {
        run(async { memory(len).play(&steps).await });
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_sqlite_every_answer_is_of_one_representation((len, steps) in story()) {
        run(async {
            let storage = larder::storage::SqliteStorage::in_memory().unwrap();
            Setting::new(storage, len).play(&steps).await;
        });
    }
}

/// What nobody should say of a range.
#[tokio::test]
async fn hostile_ranges_do_no_harm() {
    let largest = u64::MAX;
    let said = [
        format!("bytes 0-{largest}/*"),
        format!("bytes {largest}-{largest}/*"),
        format!("bytes 0-{}/{largest}", largest - 1),
        format!("bytes {}-{}/{largest}", largest - 4, largest - 1),
        format!("bytes 4-{}/{largest}", largest - 1),
        format!("bytes 0-3/{largest}"),
        "bytes 0-3/4".to_owned(),
        "bytes 3-0/4".to_owned(),
        "bytes 0-3/0".to_owned(),
        "bytes */10".to_owned(),
        "bytes 99999999999999999999-99999999999999999999/*".to_owned(),
    ];
    let mut all_hits = 0;
    for seed in 0..said.len() {
        let said = said.clone();
        let number_of = said.len();
        let origin = Origin::new(move |_, number| -> Result<_, BoxError> {
            let fields = [
                ("cache-control", "max-age=60"),
                ("etag", "\"a\""),
                ("content-range", said[(seed + number * (seed + 1)) % said.len()].as_str()),
            ];
            Ok(with_body(206, &fields, Frames::of(&["0123"]).boxed()))
        });
        let storage = MemoryStorage::new();
        let cache = CacheLayer::new(storage.clone()).layer(origin);
        let mut hits = 0;
        for _ in 0..2 * number_of {
            let ranges = ["bytes=0-3", "bytes=0-18446744073709551615", "bytes=-18446744073709551615"];
            let of_parts = ranges.map(|range| request("GET", PAGE, &[("range", range)]));
            for request in of_parts.into_iter().chain([get(PAGE)]) {
                let response = cache.clone().oneshot(request).await.unwrap();
                let (parts, body) = response.into_parts();
                assert!([200, 206].contains(&parts.status.as_u16()), "{}", parts.status);
                // What breaks off is an error; what ends well is what the origin sent.
                let Ok(body) = body.collect().await else { continue };
                assert_eq!(body.to_bytes(), "0123", "{:?}", parts.headers);
                if parts.extensions.get::<CacheStatus>().unwrap().is_hit() {
                    hits += 1;
                    assert_eq!(parts.headers["content-length"], "4");
                }
            }
        }
        println!("from {seed} on: {hits} hits");
        all_hits += hits;
        for head in Storage::responses(&storage, None, 100).await.unwrap().items {
            let (len, first) = (head.body_len(), head.range.map_or(0, |range| range.first));
            assert_eq!(len, 4, "{}", span(&head));
            let end = first.checked_add(len).expect("a range that does not overflow");
            assert!(head.range.is_none_or(|range| range.complete_len.is_none_or(|complete| end <= complete)));
        }
    }
    assert!(all_hits > 0, "something of it is right, and stored");
}
