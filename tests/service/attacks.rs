//! What a hostile reader tried: races, failures and odd requests that must not give a wrong answer, hang, leak or lose
//! anything.

mod cancelled;
mod odd;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use larder::clock::Timestamp;
use larder::entry::{Alias, EntryId, GroupId, StoredHead};
use larder::key::CacheKey;
use larder::storage::{
    Cursor, Fence, FileStorage, Keyspace, Lookup, Maintained, MemoryStorage, Page, Published, SqliteStorage,
    Storage, StorageError, Usage,
};
use larder::{CacheLayer, CacheOverride};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};

use crate::moody::{Mood, Moody};
use crate::support::{BoxError, Frames, Origin, OriginBody, ask, clock, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=600");

/// A healthy storage in memory, some calls of which take their time, as over a network.
#[derive(Clone, Debug)]
struct Remote {
    inner: MemoryStorage,
    begin_trips: u32,
    trip: Duration,
    invalidating: Duration,
    /// How long the answer of a lookup is on its way back.
    answering: Duration,
}

impl Remote {
    fn new(begin_trips: u32, trip: Duration, invalidating: Duration) -> Self {
        let (inner, answering) = (MemoryStorage::new(), Duration::ZERO);
        Self { inner, begin_trips, trip, invalidating, answering }
    }
}

impl Storage for Remote {
    type Writer = <MemoryStorage as Storage>::Writer;
    type Reader = <MemoryStorage as Storage>::Reader;

    fn name(&self) -> &'static str {
        "remote"
    }
    fn max_body(&self) -> u64 {
        Storage::max_body(&self.inner)
    }
    async fn lookup(&self, key: &CacheKey) -> Result<Lookup, StorageError> {
        let found = Storage::lookup(&self.inner, key).await;
        tokio::time::sleep(self.answering).await;
        found
    }
    async fn open(&self, head: &StoredHead) -> Result<Self::Reader, StorageError> {
        Storage::open(&self.inner, head).await
    }
    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<Self::Writer, StorageError> {
        for _ in 0..self.begin_trips {
            tokio::time::sleep(self.trip).await;
        }
        Storage::begin(&self.inner, head, fence).await
    }
    async fn freshen(&self, head: StoredHead, fence: Fence) -> Result<bool, StorageError> {
        Storage::freshen(&self.inner, head, fence).await
    }
    async fn put_alias(&self, alias: Alias, fence: Fence) -> Result<Published, StorageError> {
        Storage::put_alias(&self.inner, alias, fence).await
    }
    async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        Storage::remove(&self.inner, key).await
    }
    async fn remove_entry(&self, key: &CacheKey, id: EntryId) -> Result<bool, StorageError> {
        Storage::remove_entry(&self.inner, key, id).await
    }
    async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        tokio::time::sleep(self.invalidating).await;
        Storage::invalidate(&self.inner, groups).await
    }
    async fn responses(&self, a: Option<&Cursor>, l: usize) -> Result<Page<StoredHead>, StorageError> {
        Storage::responses(&self.inner, a, l).await
    }
    async fn aliases(&self, a: Option<&Cursor>, l: usize) -> Result<Page<Alias>, StorageError> {
        Storage::aliases(&self.inner, a, l).await
    }
    async fn usage(&self) -> Result<Usage, StorageError> {
        Storage::usage(&self.inner).await
    }
    async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        Storage::clear(&self.inner, keyspace).await
    }
    async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        Storage::maintain(&self.inner, now).await
    }
}

/// The answer of a POST that is overtaken by another POST is stored for GET, as of after the other. The other is made
/// through `other`, which may be the layer of another process.
async fn overtaken(layer: CacheLayer, other: CacheLayer) {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (there, go) = (Arc::clone(&arrived), Arc::clone(&release));
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (there, go) = (Arc::clone(&there), Arc::clone(&go));
        async move {
            let slow = request.headers().contains_key("x-slow");
            if slow {
                // The origin has done it; its answer is on the way.
                there.notify_one();
                go.notified().await;
                let fields = [FRESH, ("content-location", PAGE)];
                return Ok::<_, BoxError>(response(200, &fields, "one"));
            }
            Ok(response(200, &[FRESH], "two"))
        }
    });
    let (slow, cache) = (layer.layer(origin.clone()), other.layer(origin));
    let first = async { ask(&slow, request("POST", PAGE, &[("x-slow", "1")])).await };
    let second = async {
        arrived.notified().await;
        // The second is done after the first, and its caller knows.
        assert_eq!(ask(&cache, request("POST", PAGE, &[])).await.text(), "two");
        release.notify_one();
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.text(), "one");
    for cache in [&slow, &cache] {
        let seen = ask(cache, get(PAGE)).await;
        assert_eq!(seen.text(), "two", "what was before the second POST");
    }
    // Without another one it is stored, whatever else was invalidated before.
    ask(&slow, request("POST", "http://example.com/other", &[])).await;
    release.notify_one();
    ask(&slow, request("POST", PAGE, &[("x-slow", "1")])).await;
    slow.flush().await;
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.text(), seen.is_hit()), ("one", true), "the answer to a POST for later GETs");
}

#[tokio::test]
async fn a_post_answer_overtaken_by_another_post_memory() {
    let layer = CacheLayer::new(MemoryStorage::new());
    overtaken(layer.clone(), layer).await;
}

#[tokio::test]
async fn a_post_answer_overtaken_by_another_post_sqlite() {
    let layer = CacheLayer::new(SqliteStorage::in_memory().unwrap());
    overtaken(layer.clone(), layer).await;
}

#[tokio::test]
async fn a_post_answer_overtaken_by_a_post_of_another_layer_memory() {
    let storage = MemoryStorage::new();
    overtaken(CacheLayer::new(storage.clone()), CacheLayer::new(storage)).await;
}

#[tokio::test]
async fn a_post_answer_overtaken_by_a_post_of_another_process_sqlite() {
    let place = tempfile::tempdir().unwrap();
    let open = || CacheLayer::new(SqliteStorage::open(place.path().join("cache.sqlite")).unwrap());
    overtaken(open(), open()).await;
}

#[tokio::test]
async fn a_post_answer_overtaken_by_a_post_of_another_process_filesystem() {
    let place = tempfile::tempdir().unwrap();
    let open = || CacheLayer::new(FileStorage::open(place.path()).unwrap());
    overtaken(open(), open()).await;
}

/// The layer invalidates something else while it looks up whether its POST was overtaken: that is in its own count by the
/// end of the lookup, and not in what the lookup found.
#[tokio::test(start_paused = true)]
async fn an_invalidation_during_the_lookup_does_not_hide_that_of_another_process() {
    let moment = Duration::from_millis(10);
    let remote = Remote { answering: 4 * moment, ..Remote::new(0, Duration::ZERO, Duration::ZERO) };
    let other = CacheLayer::new(remote.inner.clone());
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| async move {
        if request.headers().contains_key("x-slow") {
            tokio::time::sleep(4 * moment).await;
            let fields = [FRESH, ("content-location", PAGE)];
            return Ok::<_, BoxError>(response(200, &fields, "one"));
        }
        Ok(response(200, &[FRESH], "two"))
    });
    let (cache, other) = (CacheLayer::new(remote).layer(origin), other.layer(origin));
    ask(&cache, get("http://example.com/any")).await;
    let first = ask(&cache, request("POST", PAGE, &[("x-slow", "1")]));
    let others = async {
        tokio::time::sleep(2 * moment).await;
        ask(&other, request("POST", PAGE, &[])).await;
        // By now the answer of the first is there, and the lookup is on its way back.
        tokio::time::sleep(4 * moment).await;
        ask(&cache, request("POST", "http://example.com/any", &[])).await;
    };
    assert_eq!(tokio::join!(first, others).0.text(), "one");
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "two", "what was before the POST of the other process");
}

/// Too many invalidations at once, all of which the storage confirms: then everything is distrusted for ever.
#[tokio::test(start_paused = true)]
async fn many_invalidations_at_once_do_not_end_the_cache() {
    let groups = (0..128).map(|n| format!("\"g{n}\"")).collect::<Vec<_>>().join(", ");
    let origin = Origin::new(move |asked, _| {
        let which = asked.uri.path().trim_start_matches('/').replace('/', "");
        let named = groups.replace("\"g", &format!("\"{which}-"));
        Ok(if asked.method == "POST" {
            response(200, &[("cache-control", "no-store"), ("cache-group-invalidation", &named)], "done")
        } else {
            response(200, &[FRESH], "hello")
        })
    });
    let storage = Remote::new(0, Duration::ZERO, Duration::from_millis(50));
    let cache = CacheLayer::new(storage).layer(origin);
    let posts = (0..70).map(|n| {
        let cache = cache.clone();
        async move { ask(&cache, request("POST", &format!("http://example.com/{n}"), &[])).await }
    });
    futures_util::future::join_all(posts).await;
    assert_eq!((cache.counts().storage_errors, cache.counts().invalidated), (0, 70));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit(), "an hour later, nothing is a hit any more");
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// The runtime on which the retrying runs ends; the layer lives on in another.
#[test]
fn an_invalidation_outlives_the_runtime_it_failed_in() {
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(Origin::always(&[FRESH], "hello"));
    paused().block_on(async {
        ask(&cache, get(PAGE)).await;
        storage.set(Mood::FailsToInvalidate);
        ask(&cache, request("POST", PAGE, &[])).await;
    });
    storage.set(Mood::Fine);
    paused().block_on(async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        ask(&cache, get("http://example.com/other")).await;
        ask(&cache, request("POST", "http://example.com/other", &[])).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let elsewhere = CacheLayer::new(storage.clone()).layer(Origin::always(&[FRESH], "hello"));
        let stale_elsewhere = ask(&elsewhere, get(PAGE)).await.is_hit();
        ask(&cache, get(PAGE)).await;
        let hit_here = ask(&cache, get(PAGE)).await.is_hit();
        assert_eq!((stale_elsewhere, hit_here), (false, true), "stale elsewhere, a hit here; an hour later");
    });
}

/// What `flush` is for: the program ends after it.
#[tokio::test(start_paused = true)]
async fn flushing_brings_invalidations_that_failed_before() {
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(Origin::always(&[FRESH], "hello"));
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::FailsToInvalidate);
    ask(&cache, request("POST", "http://example.com/any", &[])).await;
    // The storage is well again, and left alone for another second.
    storage.set(Mood::Fine);
    ask(&cache, request("POST", PAGE, &[])).await;
    cache.flush().await;
    drop(cache);
    let next_run = CacheLayer::new(storage).layer(Origin::always(&[FRESH], "hello"));
    assert!(!ask(&next_run, get(PAGE)).await.is_hit(), "the next run has a hit from before the POST");
}

/// Freshening neither asks nor feeds a breaker, and whoever asks next waits for it.
#[tokio::test(start_paused = true)]
async fn a_storage_that_hangs_on_writes_costs_validated_requests_one_deadline() {
    let origin = Origin::new(|asked, _| {
        let known = asked.headers.contains_key("if-none-match");
        Ok(response(
            if known { 304 } else { 200 },
            &[("cache-control", "no-cache"), ("etag", "\"a\"")],
            "hello",
        ))
    });
    let storage = Moody::new(Mood::Fine);
    let cache = CacheLayer::new(storage.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::HangsOnWrite);
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&cache, get(PAGE)).await.text(), "hello");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?} for ten requests", began.elapsed());
}

/// A POST that was redirected below the cache has changed the URI that answered.
#[tokio::test]
async fn the_uri_that_answered_an_unsafe_request_is_invalidated() {
    let origin = Origin::new(|asked, _| {
        let mut answer = response(200, &[FRESH], "hello");
        if asked.method == "POST" {
            answer.extensions_mut().insert(larder::redirect::AnsweredBy(PAGE.parse().unwrap()));
        }
        Ok(answer)
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    ask(&cache, get(PAGE)).await;
    ask(&cache, request("POST", "http://example.com/old", &[])).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn flushing_waits_for_a_refresh_in_the_background() {
    let time = clock();
    let origin = Origin::always(&[("cache-control", "max-age=10, stale-while-revalidate=600")], "hello");
    let layer = CacheLayer::new(MemoryStorage::new()).clock(time.clone());
    let cache = layer.layer(origin);
    ask(&cache, get(PAGE)).await;
    time.advance(Duration::from_secs(20));
    ask(&cache, get(PAGE)).await;
    cache.flush().await;
    assert_eq!(cache.counts().stored, 2);
}

/// `flush` returns while others go on using the layer.
#[tokio::test(start_paused = true)]
async fn flushing_returns_although_the_layer_is_in_use() {
    let storage = Remote::new(1, Duration::from_millis(100), Duration::ZERO);
    let cache = CacheLayer::new(storage).layer(Origin::always(&[FRESH], "hello"));
    let busy = cache.clone();
    let using = async move {
        for number in 0_u64.. {
            ask(&busy, get(&format!("http://example.com/{number}"))).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let flushing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::time::timeout(Duration::from_secs(60), cache.flush()).await.is_ok()
    };
    let flushed = tokio::select! { flushed = flushing => flushed, () = using => false };
    assert!(flushed, "what was under way was over after 100 ms");
}

/// HEAD says nothing of the content unless it names a validator.
async fn revived(layer: CacheLayer) {
    let state = Arc::new(AtomicUsize::new(0));
    let of_origin = Arc::clone(&state);
    let origin = Origin::new(move |asked, _| {
        if asked.method == "POST" {
            of_origin.store(1, Ordering::SeqCst);
            return Ok(response(204, &[], ""));
        }
        let body = ["old", "new"][of_origin.load(Ordering::SeqCst)];
        let fields = [FRESH, ("content-length", "3")];
        Ok(response(200, &fields, if asked.method == "HEAD" { "" } else { body }))
    });
    let cache = layer.layer(origin);
    ask(&cache, get(PAGE)).await;
    ask(&cache, request("POST", PAGE, &[])).await;
    ask(&cache, request("HEAD", PAGE, &[])).await;
    cache.flush().await;
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.text(), seen.is_hit()), ("new", false));
}

#[tokio::test]
async fn a_head_without_validators_revives_nothing_invalidated_memory() {
    // Removed at once under the same key, so the entry is made to stay under another one.
    revived(CacheLayer::new(MemoryStorage::new())).await;
}

async fn revived_under_another_key(layer: CacheLayer) {
    let state = Arc::new(AtomicUsize::new(0));
    let of_origin = Arc::clone(&state);
    let origin = Origin::new(move |asked, _| {
        if asked.method == "POST" {
            of_origin.store(1, Ordering::SeqCst);
            return Ok(response(204, &[], ""));
        }
        let body = ["old", "new"][of_origin.load(Ordering::SeqCst)];
        let fields = [FRESH, ("content-length", "3")];
        Ok(response(200, &fields, if asked.method == "HEAD" { "" } else { body }))
    });
    let cache = layer.layer(origin);
    let of_a = |method| request(method, PAGE, &[("authorization", "Bearer a")]);
    ask(&cache, of_a("GET")).await;
    assert!(ask(&cache, of_a("GET")).await.is_hit());
    ask(&cache, request("POST", PAGE, &[("authorization", "Bearer b")])).await;
    ask(&cache, of_a("HEAD")).await;
    cache.flush().await;
    let seen = ask(&cache, of_a("GET")).await;
    assert_eq!((seen.text(), seen.is_hit()), ("new", false), "an invalidated response is fresh again");
}

#[tokio::test]
async fn a_head_without_validators_revives_nothing_of_another_key_memory() {
    revived_under_another_key(CacheLayer::new(MemoryStorage::new())).await;
}

#[tokio::test]
async fn a_head_without_validators_revives_nothing_of_another_key_sqlite() {
    revived_under_another_key(CacheLayer::new(SqliteStorage::in_memory().unwrap())).await;
}

/// As above, with an invalidation that the storage has not confirmed yet, or one by group.
#[tokio::test]
async fn a_head_without_validators_revives_nothing_of_a_group() {
    let state = Arc::new(AtomicUsize::new(0));
    let of_origin = Arc::clone(&state);
    let origin = Origin::new(move |asked, _| {
        if asked.method == "POST" {
            of_origin.store(1, Ordering::SeqCst);
            return Ok(response(204, &[("cache-group-invalidation", "\"g\"")], ""));
        }
        let body = ["old", "new"][of_origin.load(Ordering::SeqCst)];
        let fields = [FRESH, ("content-length", "3"), ("cache-groups", "\"g\"")];
        Ok(response(200, &fields, if asked.method == "HEAD" { "" } else { body }))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    ask(&cache, get(PAGE)).await;
    ask(&cache, request("POST", "http://example.com/form", &[])).await;
    ask(&cache, request("HEAD", PAGE, &[])).await;
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!((seen.text(), seen.is_hit()), ("new", false));
}

/// What cannot be named by an absolute URI: in-process services are asked so.
async fn without_a_host(fields: &[(&str, &str)]) {
    let cache = CacheLayer::new(MemoryStorage::new()).layer(Origin::always(&[FRESH], "hello"));
    ask(&cache, request("GET", "/page", fields)).await;
    let stored = ask(&cache, request("GET", "/page", fields)).await.is_hit();
    ask(&cache, request("POST", "/page", fields)).await;
    let still = ask(&cache, request("GET", "/page", fields)).await.is_hit();
    assert!(!still, "stored: {stored}, and still a hit after the POST with {fields:?}");
}

#[tokio::test]
async fn a_relative_target_without_host_is_invalidated() {
    without_a_host(&[]).await;
}

#[tokio::test]
async fn a_relative_target_with_two_hosts_is_invalidated() {
    without_a_host(&[("host", "example.com"), ("host", "example.com")]).await;
}

#[tokio::test]
async fn a_relative_target_with_a_strange_host_is_invalidated() {
    for host in ["", "exa mple", "a@b", "EXAMPLE.com:", "[::1", "example.com:80", "example.com/x"] {
        without_a_host(&[("host", host)]).await;
    }
}

/// Every way to spell a target.
#[tokio::test]
async fn every_spelling_of_the_target_is_invalidated() {
    for (stored, changed) in [
        ("http://u:p@example.com/page", PAGE),
        (PAGE, "http://u:p@example.com/page"),
        ("http://example.com", "http://example.com/"),
        ("http://example.com?x", "http://example.com/?x"),
        ("http://example.com:/page", PAGE),
        ("http://example.com:080/page", PAGE),
        ("http://example.com/%zz/../page", "http://example.com/%zz/../page"),
        ("http://example.com/a%2Fb", "http://example.com/a%2fb"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("http://example.com/?a=%7e", "http://example.com/?a=~"),
        ("http://EXAMPLE.com/./page", PAGE),
    ] {
        let Ok(_) = stored.parse::<http::Uri>() else { continue };
        let cache = CacheLayer::new(MemoryStorage::new()).layer(Origin::always(&[FRESH], "hello"));
        ask(&cache, get(stored)).await;
        ask(&cache, request("POST", changed, &[])).await;
        assert!(!ask(&cache, get(stored)).await.is_hit(), "{stored} after POST {changed}");
    }
}

/// The storage is well again, but every trial is wasted on a response that is not to be stored anyway.
#[tokio::test(start_paused = true)]
async fn a_storage_that_is_well_again_is_used_again() {
    let origin = Origin::new(|asked, _| {
        if asked.uri.path() == "/large" {
            return Ok(with_body(
                200,
                &[FRESH, ("content-length", "99999999999")],
                Frames::of(&["x"]).boxed(),
            ));
        }
        Ok(response(200, &[FRESH], "hello"))
    });
    let storage = Moody::new(Mood::FailsToWrite);
    let cache = CacheLayer::new(storage.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    storage.set(Mood::Fine);
    let mut stored = 0;
    for number in 0..50 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(cache.clone().oneshot(get("http://example.com/large")).await.unwrap());
        let seen = ask(&cache, get(&format!("http://example.com/{number}"))).await;
        stored += usize::from(seen.cache().stored);
    }
    assert!(stored > 0, "of 50 responses in four minutes after it was well, none was stored");
}

/// Refreshes that hang do not stop all others.
#[tokio::test(start_paused = true)]
async fn hung_refreshes_do_not_stop_the_others() {
    let (time, asked_again) = (clock(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked_again);
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let counted = Arc::clone(&counted);
        async move {
            let hangs = request.uri().path().starts_with("/hang");
            if request.headers().contains_key("if-none-match") {
                if hangs {
                    std::future::pending::<()>().await;
                }
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let fields = [("cache-control", "max-age=10, stale-while-revalidate=86400"), ("etag", "\"a\"")];
            Ok::<_, BoxError>(response(200, &fields, "hello"))
        }
    });
    let cache = CacheLayer::new(MemoryStorage::new()).clock(time.clone()).layer(origin);
    let hung: Vec<_> = (0..4100).map(|number| format!("http://example.com/hang/{number}")).collect();
    ask(&cache, get(PAGE)).await;
    for uri in &hung {
        ask(&cache, get(uri)).await;
    }
    time.advance(Duration::from_secs(20));
    for uri in &hung {
        ask(&cache, get(uri)).await;
    }
    time.advance(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    ask(&cache, get(PAGE)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(asked_again.load(Ordering::SeqCst), 1, "an hour later no refresh is begun");
}

/// No permission to serve stale covers what was invalidated, confirmed or not.
#[tokio::test]
async fn nothing_invalidated_is_served_stale() {
    for mood in [Mood::Fine, Mood::FailsToInvalidate] {
        for fields in [
            &[("cache-control", "max-stale")][..],
            &[("cache-control", "stale-if-error=1000")],
            &[("cache-control", "only-if-cached, max-stale")],
            &[("range", "bytes=0-1")],
            &[],
        ] {
            for fails in [false, true] {
                let storage = Moody::new(Mood::Fine);
                let layer = CacheLayer::new(storage.clone());
                let down = Arc::new(AtomicUsize::new(0));
                let is_down = Arc::clone(&down);
                let origin = Origin::new(move |asked, _| {
                    let said = "max-age=600, stale-while-revalidate=600, stale-if-error=600";
                    match (is_down.load(Ordering::SeqCst), asked.method.as_str()) {
                        (1, "GET") if fails => Err("down".into()),
                        (1, "GET") => Ok(response(503, &[], "down")),
                        (_, "POST") => Ok(response(200, &[("cache-group-invalidation", "\"g\"")], "done")),
                        _ => Ok(response(
                            200,
                            &[("cache-control", said), ("cache-groups", "\"g\""), ("content-length", "3")],
                            "old",
                        )),
                    }
                });
                let cache = layer.layer(origin);
                ask(&cache, get(PAGE)).await;
                storage.set(mood);
                ask(&cache, request("POST", "http://example.com/form", &[])).await;
                down.store(1, Ordering::SeqCst);
                if let Ok(seen) = cache.clone().oneshot(request("GET", PAGE, fields)).await {
                    assert!(seen.status().is_server_error(), "{mood:?} {fields:?} {}", seen.status());
                }
            }
        }
    }
}

/// Room is given back whatever becomes of a body.
#[tokio::test]
async fn no_room_is_lost() {
    let piece = Bytes::from(vec![7_u8; 20_000]);
    let origin = Origin::new(move |asked, _| {
        let count: usize = asked.headers["x-frames"].to_str().unwrap().parse().unwrap();
        let mut frames = Frames { frames: (0..count).map(|_| Ok(Frame::data(piece.clone()))).collect() };
        let end = asked.headers["x-end"].to_str().unwrap();
        if end == "error" {
            frames = frames.then_error();
        } else if end == "trailers" {
            frames = frames.then_trailers("x-checksum", "1");
        }
        let announced = match end {
            "short" => (count + 1) * 20_000,
            "long" => count.saturating_sub(1) * 20_000 + 1,
            _ => count * 20_000,
        };
        let len = announced.to_string();
        let framing =
            if end == "chunked" { ("transfer-encoding", "chunked") } else { ("content-length", &*len) };
        Ok(with_body(200, &[FRESH, framing, ("etag", "\"a\"")], frames.boxed()))
    });
    for sqlite in [false, true] {
        let layer = if sqlite {
            CacheLayer::new(SqliteStorage::in_memory().unwrap())
        } else {
            CacheLayer::new(MemoryStorage::new())
        };
        let layer = layer.storage_backlog(600_000);
        let cache = layer.layer(origin.clone());
        for round in 0..400_usize {
            let end = ["error", "trailers", "short", "long", "chunked", "plain"][round % 6];
            let (frames, read) = ([1, 3, 4, 10, 30][round % 5].to_string(), round % 7);
            let asking = request(
                "GET",
                &format!("http://example.com/{round}"),
                &[("x-frames", &frames), ("x-end", end)],
            );
            let mut body = cache.clone().oneshot(asking).await.unwrap().into_body();
            for _ in 0..read * read {
                if !matches!(body.frame().await, Some(Ok(_))) {
                    break;
                }
            }
            drop(body);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        cache.flush().await;
        let before = layer.counts();
        let asking =
            || request("GET", "http://example.com/last", &[("x-frames", "25"), ("x-end", "chunked")]);
        ask(&cache, asking()).await;
        cache.flush().await;
        assert_eq!(layer.counts().crowded_out, before.crowded_out, "sqlite: {sqlite} {before:?}");
        assert!(ask(&cache, asking()).await.is_hit(), "sqlite: {sqlite} {before:?}");
    }
}

/// Whoever has seen the answer to a POST sees nothing from before it, however requests overlap.
async fn overlapping(layer: CacheLayer, always_tagged: bool, with_location: bool, heads: bool, seed: u64) {
    overlapping_in([layer.clone(), layer], always_tagged, with_location, heads, seed).await;
}

/// The same through two layers on one storage, as in two processes.
async fn overlapping_in(
    layers: [CacheLayer; 2],
    always_tagged: bool,
    with_location: bool,
    heads: bool,
    seed: u64,
) {
    let state = Arc::new(AtomicU64::new(0));
    let origin_state = Arc::clone(&state);
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let state = Arc::clone(&origin_state);
        async move {
            let pause = |n: u64| async move {
                for _ in 0..n {
                    tokio::task::yield_now().await;
                }
            };
            let jitter: u64 = request.headers()["x-jitter"].to_str().unwrap().parse().unwrap();
            pause(jitter % 7).await;
            let unsafe_one = request.method() == "POST";
            let now = if unsafe_one {
                state.fetch_add(1, Ordering::SeqCst) + 1
            } else {
                state.load(Ordering::SeqCst)
            };
            pause(jitter / 7 % 23).await;
            let tag = format!("\"{now}\"");
            if request.headers().get("if-none-match").is_some_and(|own| own.to_str().unwrap().contains(&tag))
            {
                return Ok::<_, BoxError>(with_body(
                    304,
                    &[("etag", &tag), ("cache-control", "max-age=600")],
                    Frames::of(&[]).boxed(),
                ));
            }
            let text = format!("{now:08}");
            let range = request.headers().get("range").and_then(|range| range.to_str().ok());
            let same = request.headers().get("if-range").is_none_or(|own| own.to_str().unwrap() == tag);
            if let Some((first, last)) = range.filter(|_| same && !unsafe_one).and_then(bounds) {
                let part = Full::new(Bytes::from(text.get(first..=last).unwrap().to_owned()));
                let content_range = format!("bytes {first}-{last}/8");
                return Ok(with_body(
                    206,
                    &[("etag", &tag), ("cache-control", "max-age=600"), ("content-range", &content_range)],
                    part.map_err(|never| match never {}).boxed_unsync(),
                ));
            }
            let body: OriginBody = if request.method() == "HEAD" {
                Frames::of(&[]).boxed()
            } else {
                Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
            };
            let mut response: Response<OriginBody> =
                with_body(200, &[("cache-control", "max-age=600"), ("content-length", "8")], body);
            if always_tagged || jitter.is_multiple_of(2) || unsafe_one {
                response.headers_mut().insert("etag", tag.parse().unwrap());
            }
            if unsafe_one && with_location {
                response.headers_mut().insert("content-location", PAGE.parse().unwrap());
            }
            Ok(response)
        }
    });
    let caches = layers.map(|layer| layer.layer(origin.clone()));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut workers = Vec::new();
    for worker in 0..8_u64 {
        let (cache, acknowledged) = (caches[worker as usize % 2].clone(), Arc::clone(&acknowledged));
        workers.push(async move {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (worker + 1);
            for _ in 0..300 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let jitter = (random >> 8) % 1000;
                let jitter = jitter.to_string();
                let method =
                    ["GET", "GET", "GET", "GET", if heads { "HEAD" } else { "GET" }, "POST", "GET", "GET"]
                        [(random >> 40) as usize % 8];
                let who = ["Bearer a", "Bearer b"][(random >> 50) as usize % 2];
                let floor = acknowledged.load(Ordering::SeqCst);
                let mut asking = request(method, PAGE, &[("x-jitter", &jitter), ("authorization", who)]);
                if (random >> 55).is_multiple_of(9) {
                    asking.extensions_mut().insert(CacheOverride::revalidate());
                }
                if method == "GET" && always_tagged && (random >> 45).is_multiple_of(4) {
                    let range = ["bytes=0-3", "bytes=4-7", "bytes=2-5"][(random >> 30) as usize % 3];
                    asking.headers_mut().insert("range", range.parse().unwrap());
                }
                let seen = ask(&cache, asking).await;
                match method {
                    "GET" if seen.body.len() < 8 => {}
                    "POST" => {
                        acknowledged.fetch_max(seen.text().parse().unwrap(), Ordering::SeqCst);
                    }
                    "GET" => {
                        let number: u64 = seen.text().parse().unwrap();
                        assert!(
                            number >= floor,
                            "{number} from before the acknowledged {floor}: {:?}",
                            seen.cache()
                        );
                    }
                    _ => {}
                }
            }
        });
    }
    futures_util::future::join_all(workers).await;
}

/// `bytes=first-last` or `bytes=first-` of eight.
fn bounds(range: &str) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, if last.is_empty() { 7 } else { last.parse().ok()? }))
}

#[tokio::test]
async fn overlapping_requests_through_two_layers_memory() {
    for seed in 11..18 {
        let storage = MemoryStorage::new();
        let layers = [CacheLayer::new(storage.clone()), CacheLayer::new(storage)];
        overlapping_in(layers, true, true, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_through_two_processes_sqlite() {
    for seed in 11..13 {
        let place = tempfile::tempdir().unwrap();
        let layers =
            [0; 2].map(|_| CacheLayer::new(SqliteStorage::open(place.path().join("cache.sqlite")).unwrap()));
        overlapping_in(layers, true, true, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_through_two_processes_filesystem() {
    for seed in 11..13 {
        let place = tempfile::tempdir().unwrap();
        let layers = [0; 2].map(|_| CacheLayer::new(FileStorage::open(place.path()).unwrap()));
        overlapping_in(layers, true, true, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_memory() {
    for seed in 1..8 {
        overlapping(CacheLayer::new(MemoryStorage::new()), true, false, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_sqlite() {
    for seed in 1..5 {
        overlapping(CacheLayer::new(SqliteStorage::in_memory().unwrap()), true, false, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_some_without_validators() {
    for seed in 1..8 {
        overlapping(CacheLayer::new(MemoryStorage::new()), false, false, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_with_content_location() {
    for seed in 1..8 {
        overlapping(CacheLayer::new(MemoryStorage::new()), true, true, true, seed).await;
    }
}

#[tokio::test]
async fn overlapping_requests_some_without_validators_and_no_heads() {
    for seed in 1..8 {
        overlapping(CacheLayer::new(MemoryStorage::new()), false, false, false, seed).await;
    }
}

/// Requests in origin-form and absolute ones, where the invalidation names something else than the target.
async fn named_by_origin_form(fields: &'static [(&'static str, &'static str)]) {
    let origin = Origin::new(move |asked, _| {
        Ok(if asked.method == "POST" {
            response(200, fields, "done")
        } else {
            response(200, &[FRESH, ("cache-groups", "\"g\"")], "hello")
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    ask(&cache, get(PAGE)).await;
    ask(&cache, request("POST", "/form", &[("host", "example.com")])).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit(), "after a POST in origin-form with {fields:?}");
}

#[tokio::test]
async fn a_group_invalidated_by_a_request_in_origin_form() {
    named_by_origin_form(&[("cache-group-invalidation", "\"g\"")]).await;
}

#[tokio::test]
async fn a_location_named_by_a_request_in_origin_form() {
    named_by_origin_form(&[("location", "/page")]).await;
}

#[tokio::test]
async fn the_default_port_of_https_in_host() {
    let stored = || request("GET", "/page", &[("host", "example.com:443")]);
    for changed in [
        request("POST", "https://example.com/page", &[]),
        request("POST", "https://example.com:443/page", &[]),
        request("POST", "/page", &[("host", "example.com")]),
    ] {
        let uri = changed.uri().clone();
        let cache = CacheLayer::new(MemoryStorage::new()).layer(Origin::always(&[FRESH], "hello"));
        ask(&cache, stored()).await;
        ask(&cache, changed).await;
        assert!(!ask(&cache, stored()).await.is_hit(), "after POST {uri}");
    }
}

#[tokio::test]
async fn more_groups_than_fit_are_invalidated_all_the_same() {
    let all: &'static str = (0..130).map(|n| format!("\"g{n:03}\"")).collect::<Vec<_>>().join(", ").leak();
    let origin = Origin::new(move |asked, _| {
        Ok(if asked.method == "POST" {
            response(200, &[("cache-group-invalidation", all)], "done")
        } else {
            response(200, &[FRESH, ("cache-groups", "\"g129\"")], "hello")
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    ask(&cache, get(PAGE)).await;
    ask(&cache, request("POST", "http://example.com/form", &[])).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
}

/// A redirect that is followed carries the preconditions and the range of another resource along.
#[tokio::test]
async fn a_followed_redirect_of_a_method_with_state_does_not_take_preconditions_along() {
    let origin = Origin::new(|asked, _| {
        Ok(if asked.method == "POST" {
            response(303, &[("location", "/page")], "")
        } else if asked.headers.contains_key("if-match") {
            response(412, &[], "")
        } else {
            response(200, &[FRESH], "hello")
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).follow_redirects(3).layer(origin);
    let seen = ask(&cache, request("POST", "http://example.com/form", &[("if-match", "\"form-7\"")])).await;
    assert_eq!(seen.status, 200);
}
