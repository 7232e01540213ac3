//! Bodies in countless tiny or empty frames: they cost no more memory than others, and no request waits for their end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use larder_test_support as support;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use larder::CacheLayer;
use larder::storage::MemoryStorage;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{BoxError, Origin, OriginBody, ask, clock, get, response, with_body};

const PAGE: &str = "http://example.com/page";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");
/// The same frame again and again, ready at once.
#[derive(Default)]
struct Again {
    /// How often; without end if there is none.
    left: Option<usize>,
    /// A slice of a buffer of its own, as from a socket.
    len: usize,
}

impl Again {
    fn boxed(self) -> OriginBody {
        self.boxed_unsync()
    }
}

impl Body for Again {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(left) = &mut self.left {
            let Some(fewer) = left.checked_sub(1) else { return Poll::Ready(None) };
            *left = fewer;
        }
        let data = if self.len > 0 { Bytes::from(vec![7; 1024]).slice(..self.len) } else { Bytes::new() };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

/// The most that is allocated at a time while a body with these frames passes and is stored.
fn most_for(frames: usize, len: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let origin = Origin::new(move |_, _| {
        Ok(with_body(200, &[FRESH, CHUNKED], Again { left: Some(frames), len }.boxed()))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let read = async {
        let mut body = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().into_data().unwrap().len();
        }
        read
    };
    let measured = allocation_counter::measure(|| assert_eq!(runtime.block_on(read), frames * len));
    let hit = runtime.block_on(ask(&cache, get(PAGE)));
    assert!(hit.is_hit());
    assert_eq!(hit.body.len(), frames * len);
    measured.bytes_max
}

#[test]
fn empty_frames_take_no_memory() {
    let most = most_for(200_000, 0);
    assert!(most < 64 * 1024, "{most} bytes");
}

#[test]
fn tiny_frames_take_little_more_than_their_content() {
    for frames in [60_000, 300_000] {
        let most = most_for(frames, 1);
        assert!(most < 3 * frames as u64 + 300 * 1024, "{most} bytes for {frames}");
    }
}

#[tokio::test]
async fn a_redirect_in_empty_frames_without_end_is_passed_on() {
    let origin = Origin::new(|_, _| {
        Ok(with_body(301, &[FRESH, CHUNKED, ("location", "/there")], Again::default().boxed()))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let response = cache.oneshot(get(PAGE)).await.unwrap();
    assert_eq!(response.status(), 301);
}

#[tokio::test]
async fn a_redirect_in_tiny_frames_is_stored() {
    let origin = Origin::new(|_, _| {
        let body = Again { left: Some(10_000), len: 1 }.boxed();
        Ok(with_body(301, &[FRESH, CHUNKED, ("location", "/there")], body))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    drop(cache.clone().oneshot(get(PAGE)).await.unwrap());
    let hit = ask(&cache, get(PAGE)).await;
    assert_eq!((hit.status.as_u16(), hit.body.len(), origin.count()), (301, 10_000, 1));
}

#[tokio::test]
async fn request_content_in_empty_frames_without_end_is_not_waited_for() {
    let cache = CacheLayer::new(MemoryStorage::new());
    let layers = ServiceBuilder::new().layer(cache.key_content()).layer(cache);
    let stack = layers.service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let request = Request::builder().method("QUERY").uri(PAGE).body(Again::default()).unwrap();
    let response = stack.oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn request_content_reaches_the_origin_whole_in_all_kinds_of_frames() {
    for (limit, frames) in [(100_000, 20_000), (100, 20_000), (100_000, 0)] {
        let cache = CacheLayer::new(MemoryStorage::new());
        let layers = ServiceBuilder::new().layer(cache.key_content().limit(limit)).layer(cache);
        let stack = layers.service_fn(|request: Request<_>| async {
            let len = BodyExt::collect(request.into_body()).await.unwrap().to_bytes().len();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(len.to_string()))))
        });
        let body = Again { left: Some(frames), len: 1 };
        let request = Request::builder().method("QUERY").uri(PAGE).body(body).unwrap();
        let response = stack.oneshot(request).await.unwrap();
        let seen = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(seen, frames.to_string());
    }
}

#[tokio::test]
async fn a_refresh_in_empty_frames_without_end_ends() {
    let clock = clock();
    let origin = Origin::new(|_, number| {
        let fields = [("cache-control", "max-age=1, stale-while-revalidate=600"), CHUNKED];
        Ok(match number {
            0 => response(200, &fields, "old"),
            1 => with_body(200, &fields, Again::default().boxed()),
            _ => response(200, &fields, "new"),
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin);
    ask(&cache, get(PAGE)).await;
    clock.advance(Duration::from_secs(5));
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "old");
    // This thread would never come back from the refresh.
    tokio::task::yield_now().await;
    // A refresh that failed is not tried again at once.
    clock.advance(Duration::from_secs(120));
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "old");
    let began = Instant::now();
    while ask(&cache, get(PAGE)).await.text() != "new" {
        assert!(began.elapsed() < Duration::from_secs(10), "never refreshed again");
        tokio::task::yield_now().await;
    }
}

/// Some content, and empty frames from then on.
struct Then(Option<Bytes>, Again);

impl Body for Then {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.1).poll_frame(cx),
        }
    }
}

#[tokio::test]
async fn reading_a_short_rest_in_endless_empty_frames_ends() {
    let origin = Origin::new(|_, number| {
        let body = Then(Some(Bytes::from_static(b"hello")), Again::default());
        let fields = [FRESH, ("content-length", "10")];
        Ok(if number == 0 {
            with_body(200, &fields, body.boxed_unsync())
        } else {
            response(200, &[FRESH], "hi")
        })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let mut body = cache.clone().oneshot(get(PAGE)).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    drop(body);
    // This thread would never come back from reading on.
    tokio::task::yield_now().await;
    assert_eq!(ask(&cache, get(PAGE)).await.text(), "hi");
}
