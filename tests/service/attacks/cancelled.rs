//! Callers that go away at any moment.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use larder::clock::ManualClock;
use larder::storage::{FileStorage, SqliteStorage};
use larder::{CacheLayer, CacheOverride};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

use super::{PAGE, paused};
use crate::moody::{Mood, Moody};
use crate::support::{BoxError, Origin, ask, clock, get, request, response};

/// Polls a future so many times and then drops it.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (Box::pin(future), times);
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Everything waits: the origin twice, and the body before each frame.
async fn abandoned(layer: CacheLayer, other: CacheLayer, time: ManualClock, times: usize, kind: usize) {
    let answered = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&answered);
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let counted = Arc::clone(&counted);
        async move {
            sleep(Duration::from_millis(1)).await;
            let before = counted.load(Ordering::SeqCst);
            let text = if before == 0 { "old" } else { "new" };
            let tag = format!("\"{text}\"");
            sleep(Duration::from_millis(1)).await;
            if request.method() == "POST" {
                counted.fetch_add(1, Ordering::SeqCst);
                let fields =
                    [("content-location", PAGE), ("cache-control", "max-age=600"), ("etag", "\"new\"")];
                return Ok::<_, BoxError>(response(200, &fields, "new"));
            }
            let fields = [("cache-control", "max-age=600"), ("etag", &*tag)];
            if request.headers().get("if-none-match").is_some_and(|own| own == &*tag) {
                return Ok(response(304, &fields, ""));
            }
            Ok(response(200, &fields, text))
        }
    });
    let (cache, elsewhere) = (layer.layer(origin.clone()), other.layer(origin));
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "old");
    let asking = match kind {
        0 => request("POST", PAGE, &[]),
        1 => get(PAGE),
        2 => {
            time.advance(Duration::from_secs(700));
            get(PAGE)
        }
        3 => {
            let mut asking = get(PAGE);
            asking.extensions_mut().insert(CacheOverride::reload());
            asking
        }
        4 => request("HEAD", PAGE, &[("cache-control", "no-cache")]),
        _ => get("http://example.com/another"),
    };
    let uri = asking.uri().to_string();
    let service = cache.clone();
    polled(times, async move {
        let mut body = service.oneshot(asking).await.unwrap().into_body();
        while body.frame().await.is_some() {}
    })
    .await;
    let changed = answered.load(Ordering::SeqCst) > 0;
    let began = Instant::now();
    let context = format!("{kind} dropped after {times} polls, {changed}");
    let seen = ask(&cache, get(PAGE)).await;
    assert_eq!(seen.text() == "new", changed, "{context}: {:?}", seen.cache());
    ask(&cache, get(&uri)).await;
    assert!(began.elapsed() < Duration::from_millis(500), "{context}: {:?}", began.elapsed());
    tokio::time::timeout(Duration::from_secs(10), cache.flush()).await.expect("flushed");
    let seen = ask(&elsewhere, get(PAGE)).await;
    assert_eq!(seen.text() == "new", changed, "elsewhere, {context}: {:?}", seen.cache());
}

#[test]
fn a_caller_that_goes_away_at_any_moment_far_away() {
    for kind in 0..6 {
        for times in 0..24 {
            paused().block_on(async {
                let (storage, time) = (Moody::new(Mood::FarAway), clock());
                let layer = || CacheLayer::new(storage.clone()).clock(time.clone());
                abandoned(layer(), layer(), time.clone(), times, kind).await;
            });
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_at_any_moment_sqlite() {
    for kind in 0..6 {
        for times in 0..12 {
            let (storage, time) = (SqliteStorage::in_memory().unwrap(), clock());
            let layer = || CacheLayer::new(storage.clone()).clock(time.clone());
            abandoned(layer(), layer(), time.clone(), times, kind).await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_at_any_moment_filesystem() {
    for kind in 0..6 {
        for times in 0..12 {
            let (place, time) = (tempfile::tempdir().unwrap(), clock());
            let layer = || CacheLayer::new(FileStorage::open(place.path()).unwrap()).clock(time.clone());
            abandoned(layer(), layer(), time.clone(), times, kind).await;
        }
    }
}

/// The runtime ends while the storage is being told; the layer lives on in another.
#[test]
fn an_invalidation_outlives_the_runtime_it_was_under_way_in() {
    for millis in 0..8 {
        let storage = Moody::new(Mood::Fine);
        let layer = CacheLayer::new(storage.clone());
        let origin = Origin::always(&[("cache-control", "max-age=600")], "hello");
        let cache = layer.layer(origin.clone());
        paused().block_on(async {
            ask(&cache, get(PAGE)).await;
            storage.set(Mood::HangsOnInvalidating);
            let posting = ask(&cache, request("POST", PAGE, &[]));
            let _ = tokio::time::timeout(Duration::from_millis(millis), posting).await;
        });
        storage.set(Mood::Fine);
        paused().block_on(async {
            assert!(!ask(&cache, get(PAGE)).await.is_hit(), "{millis}");
            tokio::time::sleep(Duration::from_secs(60)).await;
            let elsewhere = CacheLayer::new(storage.clone()).layer(origin);
            ask(&cache, get("http://example.com/other")).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            ask(&elsewhere, get("http://example.com/other")).await;
            ask(&cache, get(PAGE)).await;
            assert!(ask(&cache, get(PAGE)).await.is_hit(), "{millis}");
        });
    }
}

/// All of the runtime's blocking threads are taken by others.
#[test]
fn no_blocking_thread_is_left() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let place = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let layer = CacheLayer::new(FileStorage::open(place.path()).unwrap())
            .storage_deadline(Duration::from_millis(300));
        let origin = Origin::new(|_, number| {
            Ok(response(
                200,
                &[("cache-control", "max-age=600")],
                if number == 0 { "before" } else { "hello" },
            ))
        });
        let cache = layer.layer(origin.clone());
        ask(&cache, get(PAGE)).await;
        cache.flush().await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv().is_err());
        let began = std::time::Instant::now();
        for number in 0..20 {
            assert_eq!(ask(&cache, get(&format!("http://example.com/{number}"))).await.text(), "hello");
        }
        ask(&cache, request("POST", PAGE, &[])).await;
        assert!(!ask(&cache, get(PAGE)).await.is_hit());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drop(release);
        assert!(holding.await.unwrap());
        tokio::time::sleep(Duration::from_secs(3)).await;
        ask(&cache, get("http://example.com/0")).await;
        cache.flush().await;
        let elsewhere = CacheLayer::new(FileStorage::open(place.path()).unwrap()).layer(origin);
        assert_eq!(ask(&elsewhere, get(PAGE)).await.text(), "hello");
    });
}
