//! What is on its way to the store is bounded, costs its callers next to nothing, and is waited for where that is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use larder::storage::{FileStorage, MemoryStorage, SqliteStorage};
use larder::{CacheLayer, CacheStatus};
use tower::{Layer, ServiceExt};

use crate::moody::{Mood, Moody};
use crate::support::{Frames, Origin, ask, get, response, with_body};

const FRESH: (&str, &str) = ("cache-control", "max-age=600");

fn of_bytes(len: usize, frame: usize) -> Origin {
    let (piece, field) = (Bytes::from(vec![7_u8; frame]), &*len.to_string().leak());
    Origin::new(move |_, _| {
        let frames = (0..len / frame).map(|_| Ok(http_body::Frame::data(piece.clone()))).collect();
        Ok(with_body(200, &[FRESH, ("content-length", field)], Frames { frames }.boxed()))
    })
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_given_up_at_once_and_is_no_trouble_of_the_storage() {
    let storage = Moody::new(Mood::HangsOnWrite);
    let layer = CacheLayer::new(storage.clone()).storage_backlog(1 << 20);
    let cache = layer.layer(of_bytes(60_000, 60_000));
    let began = tokio::time::Instant::now();
    for number in 0..1000 {
        let seen = ask(&cache, get(&format!("http://example.com/{number}"))).await;
        assert_eq!(seen.body.len(), 60_000);
    }
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    let counts = layer.counts();
    assert_eq!((counts.crowded_out, counts.storage_errors), (1000 - (1 << 20) / 64_096, 0));
    storage.set(Mood::Fine);
    tokio::time::sleep(Duration::from_secs(60)).await;
    ask(&cache, get("http://example.com/again")).await;
    assert!(ask(&cache, get("http://example.com/again")).await.is_hit(), "the room is given back");
}

#[tokio::test(start_paused = true)]
async fn responses_without_content_take_room_too() {
    let layer = CacheLayer::new(Moody::new(Mood::HangsOnWrite)).storage_backlog(1 << 20);
    let cache = layer.layer(Origin::new(|_, _| Ok(response(204, &[FRESH], ""))));
    for number in 0..1000 {
        ask(&cache, get(&format!("http://example.com/{number}"))).await;
    }
    assert!(layer.counts().crowded_out > 700, "{:?}", layer.counts());
}

#[tokio::test(start_paused = true)]
async fn the_callers_of_a_long_body_are_held_up_once_and_not_at_every_stall() {
    let patience = Duration::from_millis(100);
    let layer = CacheLayer::new(Moody::new(Mood::HangsOnWrite)).storage_patience(patience);
    let cache = layer.layer(of_bytes(64 << 20, 64 << 10));
    let began = tokio::time::Instant::now();
    assert_eq!(ask(&cache, get("http://example.com/long")).await.body.len(), 64 << 20);
    assert!(began.elapsed() <= patience + Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_the_storage_will_not_take_is_not_said_to_be_stored() {
    let layer = CacheLayer::new(MemoryStorage::builder().max_body(1000).build().unwrap());
    let cache = layer.layer(of_bytes(1001, 1001));
    let seen = ask(&cache, get("http://example.com/")).await;
    assert!(!seen.cache().stored);
    assert_eq!(seen.cache().detail.as_deref(), Some("too large for the storage"));
    let cache =
        CacheLayer::new(MemoryStorage::builder().max_body(1000).build().unwrap()).layer(of_bytes(1000, 1000));
    assert!(ask(&cache, get("http://example.com/")).await.cache().stored);
}

#[tokio::test(start_paused = true)]
async fn flushing_waits_for_what_is_under_way() {
    let storage = Moody::new(Mood::HangsOnWrite);
    let layer = CacheLayer::new(storage.clone()).storage_deadline(Duration::from_secs(3));
    let cache = layer.layer(Origin::always(&[FRESH], "hello"));
    layer.flush().await;
    ask(&cache, get("http://example.com/")).await;
    let began = tokio::time::Instant::now();
    layer.flush().await;
    assert_eq!(began.elapsed().as_secs(), 3, "until the storage has been given up");
    cache.flush().await;
    assert_eq!(layer.counts().abandoned, 1);
}

#[tokio::test]
async fn a_dropped_body_whose_rest_is_short_is_read_to_its_end_and_stored() {
    for (len, stored) in [(64 << 10, true), (1000, true), ((64 << 10) + 2000, false)] {
        let layer = CacheLayer::new(MemoryStorage::new());
        let cache = layer.layer(of_bytes(len, len / 4));
        let response = cache.clone().oneshot(get("http://example.com/")).await.unwrap();
        assert!(response.extensions().get::<CacheStatus>().unwrap().stored);
        drop(response);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        layer.flush().await;
        assert_eq!(ask(&cache, get("http://example.com/")).await.is_hit(), stored, "{len}");
        assert_eq!(layer.counts().abandoned, u64::from(!stored), "{len}");
    }
}

#[tokio::test]
async fn a_body_that_is_given_up_half_way_is_counted() {
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(of_bytes(4 << 20, 64 << 10));
    let mut body = cache.clone().oneshot(get("http://example.com/")).await.unwrap().into_body();
    for _ in 0..10 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    layer.flush().await;
    assert_eq!((layer.counts().abandoned, layer.counts().stored), (1, 0));
    assert!(!ask(&cache, get("http://example.com/")).await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_given_up_while_the_storage_hangs_is_counted_once() {
    for waits in [false, true] {
        let storage = Moody::new(Mood::HangsOnWrite);
        let layer = CacheLayer::new(storage.clone()).storage_deadline(Duration::from_secs(3));
        let cache = layer.layer(of_bytes(4 << 20, 64 << 10));
        let mut body = cache.clone().oneshot(get("http://example.com/")).await.unwrap().into_body();
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
        }
        if waits {
            // The storage fails first.
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        drop(body);
        layer.flush().await;
        let counts = layer.counts();
        assert_eq!((counts.abandoned, counts.storage_errors, counts.stored), (1, 1, 0), "{waits}");
    }
}

#[tokio::test]
async fn an_unknown_rest_is_not_read_on() {
    let origin = Origin::new(|_, _| {
        let fields = [FRESH, ("transfer-encoding", "chunked")];
        Ok(with_body(200, &fields, Frames::of(&["one", "two"]).boxed()))
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin);
    drop(cache.clone().oneshot(get("http://example.com/")).await.unwrap());
    assert_eq!(layer.counts().abandoned, 1);
}

/// The runtime ends right after the last byte: what was handed to the storage is written by its own threads.
fn a_runtime_that_ends_loses_nothing(
    runtime: impl Fn() -> tokio::runtime::Runtime,
    open: impl Fn() -> CacheLayer,
    len: usize,
) {
    let uri = "http://example.com/";
    runtime().block_on(async {
        // A machine with much to do is not what is looked at.
        let layer = open().storage_patience(Duration::from_secs(60));
        let cache = layer.layer(of_bytes(len, len.min(50_000)));
        assert_eq!(ask(&cache, get(uri)).await.body.len(), len);
    });
    runtime().block_on(async {
        let cache = open().layer(Origin::new(|_, _| Ok(response(200, &[], "not stored"))));
        let seen = ask(&cache, get(uri)).await;
        assert!(seen.is_hit() && seen.body.len() == len, "{len}");
    });
}

#[test]
fn a_body_read_to_its_end_is_stored_though_the_runtime_ends_at_once() {
    let single = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let multi =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rounds = std::env::var("LARDER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    for len in [1000, 100_000, 300_000, 5_000_000] {
        for _ in 0..rounds {
            let dir = tempfile::tempdir().unwrap();
            let sqlite = || CacheLayer::new(SqliteStorage::open(dir.path().join("cache.db")).unwrap());
            a_runtime_that_ends_loses_nothing(single, sqlite, len);
            let files = || CacheLayer::new(FileStorage::open(dir.path().join("files")).unwrap());
            a_runtime_that_ends_loses_nothing(single, files, len);
            let dir = tempfile::tempdir().unwrap();
            let sqlite = || CacheLayer::new(SqliteStorage::open(dir.path().join("cache.db")).unwrap());
            a_runtime_that_ends_loses_nothing(multi, sqlite, len);
            let files = || CacheLayer::new(FileStorage::open(dir.path().join("files")).unwrap());
            a_runtime_that_ends_loses_nothing(multi, files, len);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_caller_is_no_failure_of_the_storage() {
    let cache = CacheLayer::new(Moody::new(Mood::FarAway)).layer(of_bytes(300_000, 100_000));
    let mut body = cache.clone().oneshot(get("http://example.com/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    // The caller does something else with what it has, for longer than the deadline of the storage.
    tokio::time::sleep(Duration::from_secs(3)).await;
    body.collect().await.unwrap();
    cache.flush().await;
    let counts = cache.counts();
    assert_eq!((counts.storage_errors, counts.stored), (0, 1), "{counts:?}");
    let other = ask(&cache, get("http://example.com/other")).await;
    assert!(other.cache().stored, "others are stored: {:?}", other.cache().detail);
}

#[tokio::test(start_paused = true)]
async fn flushing_does_not_wait_for_a_body_that_its_caller_holds() {
    let cache = CacheLayer::new(Moody::new(Mood::FarAway)).layer(of_bytes(300_000, 100_000));
    let mut body = cache.clone().oneshot(get("http://example.com/")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(60), cache.flush()).await.unwrap();
    body.collect().await.unwrap();
    cache.flush().await;
    assert_eq!(cache.counts().stored, 1);
}

/// A frame that is counted as long as any of it is in memory.
struct Tracked(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn the_backlog_bounds_the_bytes_of_long_bodies() {
    let live = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&live);
    let origin = Origin::new(move |_, _| {
        counted.fetch_add(2 << 20, Ordering::SeqCst);
        let frame = Bytes::from_owner(Tracked(vec![7; 2 << 20], Arc::clone(&counted)));
        let frames = [Ok(Frame::data(frame))].into_iter().collect();
        Ok(with_body(200, &[FRESH, ("content-length", "8000000")], Frames { frames }.boxed()))
    });
    let storage = Moody::new(Mood::HangsOnWrite);
    // And what each response takes beside its body.
    let layer = CacheLayer::new(storage.clone()).storage_backlog((8 << 20) + (1 << 20));
    let cache = layer.layer(origin);
    let mut held = Vec::new();
    for number in 0..20 {
        let uri = format!("http://example.com/{number}");
        let mut body = cache.clone().oneshot(get(&uri)).await.unwrap().into_body();
        drop(body.frame().await.unwrap().unwrap());
        held.push(body);
    }
    let kept = live.load(Ordering::SeqCst);
    assert!(kept <= 8 << 20, "{kept} bytes are kept for a backlog of {}", 8 << 20);
    assert_eq!(layer.counts().crowded_out, 16);
    drop(held);
    cache.flush().await;
    assert_eq!(live.load(Ordering::SeqCst), 0, "nothing is kept of bodies that were dropped");
}

#[tokio::test]
async fn a_body_in_one_frame_that_is_longer_than_the_backlog_is_stored() {
    let layer = CacheLayer::new(SqliteStorage::in_memory().unwrap()).storage_backlog(1 << 20);
    let cache = layer.layer(of_bytes(5 << 20, 5 << 20));
    assert!(ask(&cache, get("http://example.com/")).await.cache().stored);
    cache.flush().await;
    let counts = layer.counts();
    assert_eq!((counts.stored, counts.crowded_out), (1, 0));
    let seen = ask(&cache, get("http://example.com/")).await;
    assert!(seen.is_hit() && seen.body.len() == 5 << 20);
}

#[tokio::test]
async fn flushing_waits_for_a_dropped_body_that_is_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = SqliteStorage::open(dir.path().join("cache.db")).unwrap();
    for layer in [CacheLayer::new(MemoryStorage::new()), CacheLayer::new(sqlite)] {
        let cache = layer.layer(Origin::always(&[FRESH], "hello"));
        drop(cache.clone().oneshot(get("http://example.com/")).await.unwrap());
        cache.flush().await;
        assert_eq!((cache.counts().stored, cache.counts().abandoned), (1, 0));
    }
}
