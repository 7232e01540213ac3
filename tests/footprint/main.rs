//! Memory stays flat whatever a body's size: 1 GiB missed and then hit, through every embedded backend with files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![cfg(target_os = "linux")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use larder::CacheLayer;
use larder::storage::Storage;
use tower::{Layer, ServiceExt};

const GIB: usize = 1 << 30;
const PIECE: usize = 64 * 1024;
/// Resident memory may grow by this much.
const BOUND: u64 = 32 << 20;

/// A body that is made while it is read. Every piece is memory of its own, as from a socket.
struct Made {
    left: usize,
}

impl Body for Made {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= PIECE;
        let fill = u8::try_from(self.left / PIECE % 251).unwrap();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![fill; PIECE])))))
    }
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Reads a body to its end; returns its length and the most memory that was resident meanwhile.
async fn read<B>(body: B) -> (usize, u64)
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let mut body = std::pin::pin!(body);
    let (mut len, mut most) = (0, 0);
    while let Some(frame) = body.frame().await {
        len += frame.unwrap().into_data().unwrap().len();
        if len % (16 << 20) == 0 {
            most = most.max(resident());
        }
    }
    (len, most)
}

async fn a_gibibyte_through(storage: impl Storage) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let origin = tower::service_fn(move |_: Request<Full<Bytes>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            let response =
                Response::builder().header("cache-control", "max-age=600").header("content-length", GIB);
            Ok::<_, Infallible>(response.body(Made { left: GIB }).unwrap())
        }
    });
    // A busy machine may take its time; what is measured here is memory.
    let patient = std::time::Duration::from_secs(60);
    let layer = CacheLayer::new(storage).storage_patience(patient).storage_deadline(patient);
    let cache = layer.layer(origin);
    let before = resident();
    for requests in [1, 1] {
        let request = Request::get("http://example.com/large").body(Full::default()).unwrap();
        let (len, most) = read(cache.clone().oneshot(request).await.unwrap().into_body()).await;
        assert_eq!((len, asked.load(Ordering::SeqCst)), (GIB, requests));
        let grown = most.saturating_sub(before);
        println!("{}: {} MiB more resident", layer.storage().name(), grown >> 20);
        assert!(grown < BOUND, "{} MiB more resident", grown >> 20);
    }
}

/// One test after the other: they share one process, whose memory is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_takes_no_more_than_32_mib() {
    let folder = tempfile::tempdir().unwrap();
    #[cfg(feature = "sqlite")]
    {
        let storage = larder::storage::SqliteStorage::builder().max_bytes(None).max_body(None);
        a_gibibyte_through(storage.open(folder.path().join("cache.db")).unwrap()).await;
    }
    #[cfg(feature = "filesystem")]
    {
        let storage = larder::storage::FileStorage::builder().max_bytes(u64::MAX).max_body(u64::MAX);
        a_gibibyte_through(storage.open(folder.path().join("files")).unwrap()).await;
    }
}
