//! What a caller of the layer sees of a storage that has a bad day.
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use larder::CacheLayer;
use larder::storage::DynStorage;
use tower::{Layer, ServiceExt};

use crate::traced::Log;
use crate::{Frames, Origin, ask, get, response, with_body};

const PAGE: &str = "http://example.com/page";
const LARGE: &str = "http://example.com/large";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// Every request is answered from the origin, nothing is stored, and the status says why: in one of these words at
/// first, and that the storage is left alone when it goes on. People who read logs are told too.
pub async fn is_no_use_and_no_harm(storage: Arc<dyn DynStorage>, reasons: &[&str]) {
    let origin = Origin::always(&[FRESH], "hello");
    let deadline = Duration::from_millis(500);
    let cache = CacheLayer::new(storage).storage_deadline(deadline).layer(origin.clone());
    let (began, log) = (Instant::now(), Log::default());
    let listening = tracing::subscriber::set_default(log.clone());
    for number in 1..=5 {
        let seen = ask(&cache, get(PAGE)).await;
        assert_eq!((seen.status.as_u16(), seen.text(), origin.count()), (200, "hello", number));
        let status = seen.cache();
        assert!(!seen.is_hit() && !status.stored, "{status:?}");
        let detail = status.detail.as_deref().expect("the storage's trouble is told");
        let expected = reasons.contains(&detail) || (number > 1 && detail == "storage left alone");
        assert!(expected, "{detail:?} is none of {reasons:?}");
    }
    // Each may wait for the deadline until the storage is left alone, and this machine may be busy.
    assert!(began.elapsed() < 5 * deadline + Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(cache.counts().storage_errors > 0);
    drop(listening);
    let lines = log.lines();
    let told = |line: &String| reasons.iter().any(|reason| line.contains(&format!("({reason})")));
    assert!(!lines.is_empty() && lines.iter().all(told), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("s3cret")), "no password in a log: {lines:?}");
}

/// Connections that are dead without anybody being told cost a few misses, not all hits from then on.
pub async fn lost_connections_are_made_anew(storage: Arc<dyn DynStorage>, lose: impl FnOnce()) {
    let origin = Origin::always(&[FRESH], "hello");
    let cache = CacheLayer::new(storage).storage_deadline(Duration::from_secs(1)).layer(origin);
    ask(&cache, get(PAGE)).await;
    assert!(ask(&cache, get(PAGE)).await.is_hit());
    lose();
    let began = Instant::now();
    while !ask(&cache, get(PAGE)).await.is_hit() {
        assert!(began.elapsed() < Duration::from_secs(40), "no hit any more");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("hits again after {:?}", began.elapsed());
}

/// A storage that can be read and not be written to: every request is answered, from the origin.
pub async fn callers_never_notice_that_nothing_is_stored(storage: Arc<dyn DynStorage>) {
    let body: &'static str = "0123456789abcdef".repeat(20_000).leak();
    let origin = Origin::new(move |parts, _| {
        Ok(response(200, &[FRESH], if parts.uri.path() == "/page" { "hello" } else { body }))
    });
    let patience = Duration::from_secs(20);
    let layer = CacheLayer::new(storage).storage_patience(patience).storage_deadline(patience);
    let cache = layer.layer(origin.clone());
    for number in 1..=3 {
        let (small, large) = (ask(&cache, get(PAGE)).await, ask(&cache, get(LARGE)).await);
        assert_eq!((small.text(), large.text() == body, origin.count()), ("hello", true, 2 * number));
        assert!(!small.is_hit() && !large.is_hit());
    }
    assert!(cache.counts().storage_errors > 0);
}

/// A hit whose connection to the server breaks while the body passes ends in an error, never early and well; and the
/// storage is as usable as before.
pub async fn a_hit_cut_within_its_body_is_an_error(
    storage: Arc<dyn DynStorage>,
    cut: impl FnOnce(),
    heal: impl FnOnce(),
) {
    let piece: &'static str = "0123456789abcdef".repeat(4096).leak();
    let pieces: &'static [&'static str] = vec![piece; 64].leak();
    let len = piece.len() * pieces.len();
    let field: &'static str = len.to_string().leak();
    let fields = [FRESH, ("content-length", field)];
    let origin = Origin::new(move |_, _| Ok(with_body(200, &fields, Frames::of(pieces).boxed())));
    // The origin's body is here at once, so the caller waits for the store and not the store for the caller.
    let patience = Duration::from_secs(20);
    let layer = CacheLayer::new(storage).storage_patience(patience).storage_deadline(patience);
    let cache = layer.layer(origin.clone());
    assert_eq!(ask(&cache, get(PAGE)).await.body.len(), len);

    let hit = cache.clone().oneshot(get(PAGE)).await.unwrap();
    assert_eq!((hit.status().as_u16(), origin.count()), (200, 1), "it is a hit");
    let mut body = hit.into_body();
    let mut seen = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    cut();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => seen += frame.into_data().unwrap().len(),
            Some(Err(_)) => break,
            None => panic!("a body of {len} bytes ended well after {seen}"),
        }
    }
    assert!(seen < len, "the whole body had come already");
    heal();
    for _ in 0..50 {
        let again = ask(&cache, get(PAGE)).await;
        assert_eq!(again.body.len(), len);
        if again.is_hit() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no hit any more");
}
