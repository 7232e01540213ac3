//! Bodies on their way through: what is stored of them, when, and what must never be (FAULTS A).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use larder::CacheLayer;
use larder::storage::{MemoryStorage, SqliteStorage};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt};

use crate::support::{BoxError, Frames, Origin, OriginBody, ask, get, response, with_body};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

/// Asks twice and tells whether the second answer came from the store; the first body may fail.
async fn is_stored_after(make: impl Fn() -> http::Response<OriginBody> + Send + Sync + 'static) -> bool {
    let origin =
        Origin::new(move |_, number| Ok(if number == 0 { make() } else { response(200, &[], "again") }));
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin.clone());
    let first = cache.clone().oneshot(get(PAGE)).await.unwrap();
    let _ = first.into_body().collect().await;
    ask(&cache, get(PAGE)).await.is_hit()
}

#[tokio::test]
async fn a_chunked_body_that_ends_is_stored() {
    assert!(
        is_stored_after(|| with_body(200, &[FRESH, CHUNKED], Frames::of(&["ab", "", "c"]).boxed())).await
    );
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_not_stored() {
    let short = || with_body(200, &[FRESH, ("content-length", "10")], Frames::of(&["abc"]).boxed());
    assert!(!is_stored_after(short).await);
}

#[tokio::test]
async fn a_body_longer_than_its_content_length_is_not_stored() {
    let at_once = || with_body(200, &[FRESH, ("content-length", "2")], Frames::of(&["abc"]).boxed());
    assert!(!is_stored_after(at_once).await);
    let afterwards = || with_body(200, &[FRESH, ("content-length", "2")], Frames::of(&["ab", "c"]).boxed());
    assert!(!is_stored_after(afterwards).await);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_on_after_its_length_is_not_even_found_at_once() {
    let large: &'static str = "x".repeat(200_000).leak();
    for (content, len) in [("ab", "2"), (large, "200000")] {
        let origin = Origin::new(move |_, _| {
            let fields = [FRESH, ("content-length", len)];
            Ok(with_body(200, &fields, Frames::of(&[content, "c"]).boxed()))
        });
        let storage = larder::storage::SqliteStorage::in_memory().unwrap();
        let patient = Duration::from_secs(20);
        let layer = CacheLayer::new(storage).storage_deadline(patient).storage_patience(patient);
        let cache = layer.layer(origin);
        for number in 0..50 {
            let page = format!("{PAGE}/{number}");
            assert!(!ask(&cache, get(&page)).await.is_hit());
            assert!(!ask(&cache, get(&page)).await.is_hit(), "{number}");
        }
    }
}

#[tokio::test]
async fn a_body_that_only_seems_to_be_over_is_not_stored() {
    struct Hasty(Frames);
    impl Body for Hasty {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
        fn is_end_stream(&self) -> bool {
            self.0.frames.len() < 2
        }
    }
    assert!(
        !is_stored_after(|| with_body(
            200,
            &[FRESH, CHUNKED],
            Hasty(Frames::of(&["ab", "c"])).boxed_unsync()
        ))
        .await
    );
}

#[tokio::test]
async fn a_content_length_that_no_body_keeps_is_not_stored() {
    for length in ["10", "+0", "x", "0, 0"] {
        let fields: &'static [_] = vec![FRESH, ("content-length", length)].leak();
        assert!(!is_stored_after(|| response(200, fields, "")).await, "{length}");
    }
    assert!(is_stored_after(|| response(200, &[FRESH, ("content-length", "0")], "")).await);
}

#[tokio::test]
async fn the_content_length_of_a_204_means_nothing() {
    let empty = || with_body(204, &[FRESH, ("content-length", "10")], Frames::of(&[]).boxed());
    assert!(is_stored_after(empty).await);
    let with_content = || with_body(204, &[FRESH, CHUNKED], Frames::of(&["abc"]).boxed());
    assert!(!is_stored_after(with_content).await);
}

#[tokio::test]
async fn a_body_that_is_wrong_about_its_own_length_is_not_stored() {
    struct Boasting(Frames, u64);
    impl Body for Boasting {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.1)
        }
    }
    for len in [0, 2, 4] {
        let fields = [FRESH, ("etag", "\"a\""), CHUNKED];
        let make = move || with_body(200, &fields, Boasting(Frames::of(&["abc"]), len).boxed_unsync());
        let storage = std::sync::Arc::new(MemoryStorage::new());
        let cache = CacheLayer::new(storage.clone()).layer(Origin::new(move |_, _| Ok(make())));
        assert_eq!(ask(&cache, get(PAGE)).await.text(), "abc", "passed on as it is");
        // Not as a part either: nothing says how long the whole is.
        assert_eq!(larder::storage::Storage::usage(&*storage).await.unwrap().responses, 0, "{len}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    let reset = || with_body(200, &[FRESH, CHUNKED], Frames::of(&["abc"]).then_error().boxed());
    assert!(!is_stored_after(reset).await);
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_stored_only_on_request() {
    let close_delimited = || with_body(200, &[FRESH], Frames::of(&["abc"]).boxed());
    assert!(!is_stored_after(close_delimited).await);
    let origin = Origin::new(move |_, _| Ok(close_delimited()));
    let cache = CacheLayer::new(MemoryStorage::new()).store_close_delimited(true).layer(origin);
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn a_dropped_body_is_not_stored() {
    let origin = Origin::new(|_, _| Ok(with_body(200, &[FRESH, CHUNKED], Frames::of(&["ab", "c"]).boxed())));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let mut body = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
    assert_eq!(cache.counts().stored, 1, "the second one was read to its end");
}

#[tokio::test]
async fn a_body_is_stored_with_its_last_byte_even_if_nobody_asks_for_its_end() {
    let fields = [FRESH, ("content-length", "3")];
    let origin = Origin::new(move |_, _| Ok(with_body(200, &fields, Frames::of(&["abc"]).boxed())));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let mut body = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn an_empty_body_is_stored_without_being_read() {
    let origin = Origin::new(|_, _| Ok(response(200, &[FRESH, ("content-length", "0")], "")));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    drop(cache.clone().oneshot(get(PAGE)).await.unwrap());
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn trailers_are_kept_apart_and_come_back() {
    let body = || Frames::of(&["abc"]).then_trailers("x-sum", "1").boxed();
    let origin = Origin::new(move |_, _| Ok(with_body(200, &[FRESH, CHUNKED, ("trailer", "x-sum")], body())));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    ask(&cache, get(PAGE)).await;
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit());
    assert_eq!(hit.trailers.unwrap()["x-sum"], "1");
    assert!(!hit.headers.contains_key("x-sum"));
}

#[tokio::test]
async fn unannounced_trailers_remove_the_response_from_the_store() {
    let body = || Frames::of(&["abc"]).then_trailers("x-sum", "1").boxed();
    assert!(!is_stored_after(move || with_body(200, &[FRESH, ("content-length", "3")], body())).await);
}

/// A body fed by the test.
struct Fed(mpsc::UnboundedReceiver<Bytes>);

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn the_callers_first_byte_does_not_wait_for_the_origins_second() {
    let (feed, fed) = mpsc::unbounded_channel();
    let fed = std::sync::Mutex::new(Some(Fed(fed)));
    let origin = Origin::new(move |_, _| {
        Ok(with_body(200, &[FRESH, CHUNKED], fed.lock().unwrap().take().unwrap().boxed_unsync()))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let mut body = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    feed.send(Bytes::from_static(b"first")).unwrap();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first");
    feed.send(Bytes::from_static(b"second")).unwrap();
    drop(feed);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit());
    assert_eq!(hit.text(), "firstsecond");
}

#[tokio::test]
async fn a_large_body_in_many_pieces_comes_back_whole() {
    let piece = Bytes::from(vec![7_u8; 30_000]);
    let origin = Origin::new(move |_, _| {
        let frames = (0..100).map(|_| Ok(Frame::data(piece.clone()))).collect();
        Ok(with_body(200, &[FRESH, CHUNKED], Frames { frames }.boxed()))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    assert_eq!(ask(&cache, get(PAGE)).await.body.len(), 3_000_000);
    let hit = ask(&cache, get(PAGE)).await;
    assert!(hit.is_hit());
    assert_eq!(hit.body.len(), 3_000_000);
}

#[tokio::test]
async fn size_hints_of_stored_bodies_are_exact() {
    let origin = Origin::new(|_, _| Ok(with_body(200, &[FRESH, CHUNKED], Frames::of(&["ab", "c"]).boxed())));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let passing = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    assert_eq!(passing.size_hint().exact(), None);
    passing.collect().await.unwrap();
    let stored = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    assert_eq!(stored.size_hint().exact(), Some(3));
    assert!(!stored.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_fill_wins() {
    let (feed, fed) = mpsc::unbounded_channel();
    let fed = std::sync::Mutex::new(Some(Fed(fed)));
    let origin = Origin::new(move |parts, _| {
        Ok(match (parts.method.as_str(), fed.lock().unwrap().take()) {
            ("GET", Some(fed)) => with_body(200, &[FRESH, CHUNKED], fed.boxed_unsync()),
            _ => response(200, &[FRESH], "new"),
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let slow = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    feed.send(Bytes::from_static(b"old")).unwrap();
    ask(&cache, crate::support::request("POST", PAGE, &[])).await;
    drop(feed);
    slow.collect().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn an_empty_body_is_not_complete_where_content_length_announces_more() {
    for status in [200, 203, 301, 404, 410] {
        for (length, stored) in [("10", false), ("0", true), ("ten", false), ("18446744073709551616", false)]
        {
            let fields = [FRESH, ("location", "/other"), ("content-length", length)];
            let origin = Origin::new(move |_, _| Ok(response(status, &fields, "")));
            let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
            assert_eq!(ask(&cache, get(PAGE)).await.cache().stored, stored, "{status} {length}");
            assert_eq!(ask(&cache, get(PAGE)).await.is_hit(), stored, "{status} {length}");
        }
    }
}

#[tokio::test]
async fn a_hit_that_breaks_off_because_the_store_is_damaged_does_not_happen_twice() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("files");
    let storage = larder::storage::FileStorage::open(&files).unwrap();
    let origin = Origin::new(move |_, _| {
        let piece = Bytes::from(vec![7_u8; 50_000]);
        let frames = (0..40).map(|_| Ok(Frame::data(piece.clone()))).collect();
        Ok(with_body(200, &[FRESH, CHUNKED], Frames { frames }.boxed()))
    });
    let patient = Duration::from_secs(20);
    let cache =
        CacheLayer::new(storage).storage_patience(patient).storage_deadline(patient).layer(origin.clone());
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit());
    // The last byte of the longest file there is.
    let mut folders = vec![files];
    let mut longest = None;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                longest = longest.max(Some((entry.metadata().unwrap().len(), entry.path())));
            }
        }
    }
    let (_, body) = longest.unwrap();
    let mut bytes = std::fs::read(&body).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    std::fs::write(&body, bytes).unwrap();
    let broken = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body().collect().await;
    assert!(broken.unwrap_err().is_storage());
    let again = ask(&cache, get(PAGE)).await;
    assert_eq!((again.is_hit(), again.body.len(), origin.count()), (false, 2_000_000, 2));
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

/// A body that always has another frame.
struct Endless {
    polls: Arc<AtomicUsize>,
    frame: Bytes,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.polls.fetch_add(1, Ordering::SeqCst) > 1_000_000 {
            return Poll::Ready(Some(Err("the test ends here".into())));
        }
        Poll::Ready(Some(Ok(Frame::data(self.frame.clone()))))
    }
}

/// How many frames are taken from such a body that its caller drops.
async fn taken_after_a_drop(frame: &'static str) -> usize {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let origin = Origin::new(move |_, _| {
        let body = Endless { polls: Arc::clone(&counted), frame: Bytes::from_static(frame.as_bytes()) };
        Ok(with_body(200, &[FRESH, ("content-length", "10")], body.boxed_unsync()))
    });
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin);
    drop(cache.clone().oneshot(get(PAGE)).await.unwrap());
    layer.flush().await;
    assert_eq!((layer.counts().stored, layer.counts().abandoned), (0, 1));
    polls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_dropped_body_of_endless_empty_frames_is_left_alone() {
    let polls = taken_after_a_drop("").await;
    assert!(polls < 1000, "{polls} frames");
}

#[tokio::test]
async fn a_dropped_body_that_is_longer_than_announced_is_left_alone() {
    let polls = taken_after_a_drop("abc").await;
    assert!(polls < 10, "{polls} frames");
}

/// Reads a body in a thread that knows of no runtime.
async fn is_read_without_a_runtime(layer: CacheLayer, len: usize) {
    let piece = Bytes::from(vec![7_u8; len / 4]);
    let origin = Origin::new(move |_, _| {
        let frames = (0..4).map(|_| Ok(Frame::data(piece.clone()))).collect();
        Ok(with_body(200, &[FRESH, ("content-length", &len.to_string())], Frames { frames }.boxed()))
    });
    let response = layer.layer(origin).oneshot(get(PAGE)).await.unwrap();
    let reading = std::thread::spawn(move || {
        futures_util::FutureExt::now_or_never(response.into_body().collect()).unwrap().unwrap()
    });
    let body = tokio::task::spawn_blocking(|| reading.join()).await.unwrap().expect("no panic");
    assert_eq!(body.to_bytes().len(), len);
}

#[tokio::test]
async fn a_body_may_be_read_where_there_is_no_runtime() {
    for len in [4000, 400_000] {
        is_read_without_a_runtime(CacheLayer::new(MemoryStorage::new()), len).await;
        is_read_without_a_runtime(CacheLayer::new(SqliteStorage::in_memory().unwrap()), len).await;
    }
}
