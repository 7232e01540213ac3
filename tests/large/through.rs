//! Many long bodies at once, and one very long one, through the layer over what stores in files of its own.
//!
//! `LARDER_LARGE=1` makes them 200 bodies of 64 MiB, and one of 4 GiB: 13 GiB on the disk at a time.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use larder::CacheLayer;
use larder::storage::{FileStorage, SqliteStorage, Storage};
use tower::{Layer, ServiceExt};

use super::{ALONE, MIB, PIECE};

/// Resident memory may grow by this much, and by so much for each body that is under way.
const BOUND: usize = 32 * MIB;
const BOUND_OF_ONE: usize = 5 * MIB / 4;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1_u32;
    let next = std::iter::from_fn(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((state >> 24) as u8)
    });
    next.take(PIECE).collect()
});

/// The piece of a body that begins at this byte: no two pieces of all bodies are alike.
fn piece(body: usize, at: usize) -> Vec<u8> {
    let mut piece = NOISE.clone();
    piece[..8].copy_from_slice(&(body as u64).to_le_bytes());
    piece[PIECE - 8..].copy_from_slice(&(at as u64).to_le_bytes());
    piece
}

/// A body that is made while it is read. Every piece is memory of its own, as from a socket.
struct Made {
    body: usize,
    at: usize,
    len: usize,
}

impl Body for Made {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.at == self.len {
            return Poll::Ready(None);
        }
        let made = piece(self.body, self.at);
        self.at += PIECE;
        Poll::Ready(Some(Ok(Frame::data(made.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.len - self.at) as u64)
    }
}

/// Reads a body and compares each byte with what the origin sent.
async fn check<B>(body: B, number: usize, len: usize)
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let mut body = std::pin::pin!(body);
    let (mut at, mut expected) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let mut data = frame.unwrap().into_data().unwrap();
        while !data.is_empty() {
            if at % PIECE == 0 {
                expected = piece(number, at);
            }
            let begin = at % PIECE;
            let part = data.split_to(data.len().min(PIECE - begin));
            assert!(
                expected[begin..begin + part.len()] == part[..],
                "body {number} differs after {at} bytes"
            );
            at += part.len();
        }
    }
    assert_eq!(at, len, "body {number}");
}

/// The most memory that has been resident since the last reset, in bytes.
fn most_resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Sets the most to what is resident now.
fn reset_most_resident() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Misses all the bodies at once, and then has all of them as hits at once.
async fn at_once(storage: impl Storage, bodies: usize, len: usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let origin = tower::service_fn(move |request: Request<Full<Bytes>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let body = request.uri().path()[1..].parse().unwrap();
        async move {
            let response =
                Response::builder().header("cache-control", "max-age=86400").header("content-length", len);
            Ok::<_, Infallible>(response.body(Made { body, at: 0, len }).unwrap())
        }
    });
    // The bodies come as fast as they can be made, and are all to be stored: whatever the disk takes.
    let patient = Duration::from_secs(3600);
    let layer = CacheLayer::new(storage)
        .storage_patience(patient)
        .storage_deadline(patient)
        .storage_backlog(bodies * MIB + 64 * MIB);
    let cache = layer.layer(origin);
    LazyLock::force(&NOISE);
    reset_most_resident();
    let before = most_resident();
    for what in ["stored", "read"] {
        let began = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..bodies {
            let cache = cache.clone();
            tasks.spawn(async move {
                let request = Request::get(format!("http://example.com/{number}")).body(Full::default());
                let response = cache.oneshot(request.unwrap()).await.unwrap();
                check(response.into_body(), number, len).await;
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        layer.flush().await;
        let grown = most_resident().saturating_sub(before);
        println!(
            "{}: {bodies} of {} MiB {what} in {} s, {} MiB more resident at most",
            layer.storage().name(),
            len / MIB,
            began.elapsed().as_secs(),
            grown / MIB
        );
        assert!(grown < BOUND + bodies * BOUND_OF_ONE, "{} MiB more resident", grown / MIB);
        assert_eq!(asked.load(Ordering::SeqCst), bodies, "{:?}", layer.counts());
    }
    assert_eq!(layer.counts().stored, bodies as u64);
}

async fn over_both(bodies: usize, len: usize) {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache.db");
    let storage = SqliteStorage::builder().max_bytes(None).max_body(None);
    at_once(storage.open(place).unwrap(), bodies, len).await;
    drop(folder);
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::builder().max_bytes(u64::MAX).max_body(u64::MAX);
    at_once(storage.open(folder.path().join("files")).unwrap(), bodies, len).await;
}

fn is_large() -> bool {
    std::env::var_os("LARDER_LARGE").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_long_bodies_at_once_take_bounded_memory() {
    let (bodies, len) = if is_large() { (200, 64 * MIB) } else { (16, 8 * MIB) };
    over_both(bodies, len).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_very_long_body_takes_bounded_memory() {
    over_both(1, if is_large() { 4096 * MIB } else { 128 * MIB }).await;
}
