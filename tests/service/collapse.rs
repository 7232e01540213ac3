//! Requests that ask the same at the same time (RFC 9111 section 4: "to satisfy multiple requests").

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{FutureExt, join_all};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Channel, Full};
use larder::overrides::CacheOverride;
use larder::status::{Fwd, Outcome};
use larder::storage::MemoryStorage;
use larder::{Cache, CacheLayer, Policy};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, ServiceExt};

use crate::support::{BoxError, OriginBody, Seen, ask, clock, get, request, response, with_body};

const PAGE: &str = "http://example.com/page";
type Answer = Pin<Box<dyn Future<Output = Result<Response<OriginBody>, BoxError>> + Send>>;
type Handler = dyn Fn(&http::request::Parts, usize) -> Result<Response<OriginBody>, BoxError> + Send + Sync;

/// An origin that keeps its answers back until it is told.
#[derive(Clone)]
struct Gate {
    handler: Arc<Handler>,
    count: Arc<AtomicUsize>,
    answers: Arc<Semaphore>,
}

impl Gate {
    fn new<F>(handler: F) -> Self
    where
        F: Fn(&http::request::Parts, usize) -> Result<Response<OriginBody>, BoxError> + Send + Sync + 'static,
    {
        let (count, answers) = (Arc::default(), Arc::new(Semaphore::new(0)));
        Self { handler: Arc::new(handler), count, answers }
    }

    fn always(fields: &'static [(&'static str, &'static str)]) -> Self {
        Self::new(move |_, _| Ok(response(200, fields, "page")))
    }

    fn open(&self) {
        self.answers.add_permits(1_000);
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn layer(&self) -> (Cache<Self>, CacheLayer) {
        let layer = CacheLayer::new(MemoryStorage::new()).clock(clock());
        (layer.layer(self.clone()), layer)
    }
}

impl Service<Request<Full<Bytes>>> for Gate {
    type Response = Response<OriginBody>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let origin = self.clone();
        Box::pin(async move {
            let number = origin.count.fetch_add(1, Ordering::SeqCst);
            origin.answers.acquire().await?.forget();
            (origin.handler)(&request.into_parts().0, number)
        })
    }
}

/// So many at once; the gate opens when all have got as far as they can.
async fn burst(cache: &Cache<Gate>, requests: impl IntoIterator<Item = Request<Full<Bytes>>>) -> Vec<Seen> {
    let mut all = Box::pin(join_all(requests.into_iter().map(|request| ask(cache, request))));
    for _ in 0..100 {
        assert!((&mut all).now_or_never().is_none(), "nothing is answered yet");
        tokio::task::yield_now().await;
    }
    cache.inner().open();
    timeout(Duration::from_secs(60), all).await.expect("nobody waits for ever")
}

fn collapsed(seen: &[Seen]) -> (usize, usize) {
    let told = |what| seen.iter().filter(|seen| seen.cache().collapsed == Some(what)).count();
    (told(true), told(false))
}

#[tokio::test]
async fn what_many_ask_at_once_reaches_the_origin_once() {
    let (cache, _) = Gate::always(&[("cache-control", "max-age=60")]).layer();
    let seen = burst(&cache, (0..50).map(|_| get(PAGE))).await;
    assert!(seen.iter().all(|seen| seen.text() == "page"));
    assert_eq!((cache.inner().count(), collapsed(&seen)), (1, (49, 0)));
    let counts = cache.counts();
    assert_eq!((counts.misses, counts.collapsed, counts.hits, counts.stored), (1, 49, 0, 1));
    let waited = seen.iter().find(|seen| seen.cache().collapsed == Some(true)).unwrap().cache();
    assert_eq!(
        (waited.outcome, waited.ttl, waited.fwd_status),
        (Outcome::Forwarded(Fwd::UriMiss), Some(60), None)
    );
    assert!(ask(&cache, get(PAGE)).await.is_hit());
}

#[tokio::test]
async fn what_is_stale_is_validated_once_for_all() {
    let origin = Gate::new(|parts, number| {
        assert_eq!(parts.headers.contains_key("if-none-match"), number > 0);
        let fields = [("etag", "\"v1\""), ("cache-control", "max-age=10")];
        Ok(if number > 0 { response(304, &fields, "") } else { response(200, &fields, "page") })
    });
    let clock = clock();
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone()).layer(origin);
    burst(&cache, [get(PAGE)]).await;
    clock.advance(Duration::from_secs(11));
    cache.inner().answers.forget_permits(usize::MAX);
    let seen = burst(&cache, (0..10).map(|_| get(PAGE))).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (2, (9, 0)));
    let waited = seen.iter().find(|seen| seen.cache().collapsed == Some(true)).unwrap().cache();
    assert_eq!(waited.outcome, Outcome::Forwarded(Fwd::Stale));
}

#[tokio::test]
async fn a_response_that_is_not_stored_sends_all_waiting_requests_to_the_origin_and_none_waits_again() {
    let (cache, _) = Gate::always(&[("cache-control", "no-store")]).layer();
    let seen = burst(&cache, (0..10).map(|_| get(PAGE))).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (10, (0, 9)));
    cache.inner().answers.forget_permits(usize::MAX);
    let seen = burst(&cache, (0..10).map(|_| get(PAGE))).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (20, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_worth_waiting_for_is_tried_again_later() {
    let origin = Gate::new(|_, number| {
        let lifetime = if number < 3 { "no-store" } else { "max-age=60" };
        Ok(response(200, &[("cache-control", lifetime)], "page"))
    });
    let (cache, _) = origin.layer();
    burst(&cache, (0..3).map(|_| get(PAGE))).await;
    tokio::time::advance(Duration::from_secs(11)).await;
    cache.inner().answers.forget_permits(usize::MAX);
    let seen = burst(&cache, (0..10).map(|_| get(PAGE))).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (4, (9, 0)));
}

#[tokio::test]
async fn a_response_that_must_be_validated_on_each_use_is_not_shared() {
    let (cache, _) = Gate::always(&[("cache-control", "no-cache"), ("etag", "\"v1\"")]).layer();
    let seen = burst(&cache, (0..5).map(|_| get(PAGE))).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (5, (0, 4)));
}

#[tokio::test]
async fn a_shared_cache_hands_nothing_private_to_those_who_wait() {
    let origin = Gate::new(|_, number| {
        let body = ["one", "two"][number];
        Ok(response(200, &[("cache-control", "max-age=60, private")], body))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared()).layer(origin);
    let seen = burst(&cache, [get(PAGE), get(PAGE)]).await;
    assert_eq!(seen.iter().map(Seen::text).collect::<Vec<_>>(), ["one", "two"]);
}

#[tokio::test]
async fn requests_that_may_get_something_else_do_not_wait_for_each_other() {
    let fields: &[&[(&str, &str)]] = &[
        &[],
        &[("accept-language", "de")],
        &[("accept-language", "en")],
        &[("accept", "text/html")],
        &[("authorization", "Basic YTpi")],
        &[("cookie", "a=b")],
    ];
    let (cache, _) = Gate::always(&[("cache-control", "max-age=60"), ("vary", "*")]).layer();
    burst(&cache, fields.iter().map(|fields| request("GET", PAGE, fields))).await;
    assert_eq!(cache.inner().count(), fields.len());
}

#[tokio::test]
async fn known_variants_do_not_wait_for_each_other() {
    let (cache, _) = Gate::always(&[("cache-control", "max-age=60"), ("vary", "x-client")]).layer();
    burst(&cache, [request("GET", PAGE, &[("x-client", "0")])]).await;
    cache.inner().answers.forget_permits(usize::MAX);
    let seen = burst(&cache, ["1", "2", "1", "2"].map(|v| request("GET", PAGE, &[("x-client", v)]))).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (3, (2, 0)));
}

#[tokio::test]
async fn a_request_that_wants_more_than_anothers_answer_goes_for_itself() {
    let wish = |wish: CacheOverride| {
        let mut request = get(PAGE);
        request.extensions_mut().insert(wish);
        request
    };
    let own = [
        request("HEAD", PAGE, &[]),
        request("POST", PAGE, &[]),
        request("GET", PAGE, &[("cache-control", "no-cache")]),
        request("GET", PAGE, &[("cache-control", "no-store")]),
        request("GET", PAGE, &[("range", "bytes=0-1")]),
        request("GET", PAGE, &[("if-none-match", "\"mine\"")]),
        request("GET", PAGE, &[("if-match", "\"mine\"")]),
        wish(CacheOverride::reload()),
        wish(CacheOverride::revalidate()),
        wish(CacheOverride::new().with_lifetime(Duration::from_secs(5))),
    ];
    let number = own.len();
    let (cache, _) = Gate::always(&[("cache-control", "max-age=60")]).layer();
    let seen = burst(&cache, std::iter::once(get(PAGE)).chain(own)).await;
    assert_eq!((cache.inner().count(), collapsed(&seen)), (number + 1, (0, 0)));
}

#[tokio::test]
async fn when_the_one_that_went_is_given_up_another_goes() {
    let (cache, _) = Gate::always(&[("cache-control", "max-age=60")]).layer();
    let mut first = Box::pin(ask(&cache, get(PAGE)));
    assert!((&mut first).now_or_never().is_none());
    let mut others = Box::pin(join_all((0..10).map(|_| ask(&cache, get(PAGE)))));
    assert!((&mut others).now_or_never().is_none());
    drop(first);
    cache.inner().open();
    let seen = others.await;
    // One of them had waited and went nevertheless.
    assert_eq!((cache.inner().count(), collapsed(&seen)), (2, (9, 1)));
}

#[tokio::test]
async fn when_the_origin_fails_those_who_waited_try_for_themselves() {
    let origin = Gate::new(|_, number| match number {
        0 => Err("refused".into()),
        _ => Ok(response(200, &[("cache-control", "max-age=60")], "page")),
    });
    let (cache, _) = origin.layer();
    let calls = (0..4).map(|_| cache.clone().oneshot(get(PAGE)));
    let mut all = Box::pin(join_all(calls));
    assert!((&mut all).now_or_never().is_none());
    cache.inner().open();
    let answered = all.await;
    assert_eq!(answered.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(cache.inner().count(), 4);
}

/// A body of four bytes that comes when the sender says.
fn slow_page() -> (tokio::sync::mpsc::UnboundedSender<&'static str>, Gate) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let origin = Gate::new(move |_, number| {
        let fields = [("cache-control", "max-age=60"), ("content-length", "4")];
        if number > 0 {
            return Ok(response(200, &fields, "self"));
        }
        let (mut body, channel) = Channel::<Bytes, BoxError>::new(1);
        let receiver = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Some(piece) = receiver.lock().await.recv().await {
                body.send(Frame::data(Bytes::from_static(piece.as_bytes()))).await.unwrap();
            }
        });
        Ok(with_body(200, &fields, channel.boxed_unsync()))
    });
    origin.open();
    (sender, origin)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_moves_is_waited_for_while_it_comes() {
    let (sender, origin) = slow_page();
    let (cache, _) = origin.layer();
    let began = Instant::now();
    let pieces = async move {
        for piece in ["p", "a", "g", "e"] {
            tokio::time::sleep(Duration::from_millis(200)).await;
            sender.send(piece).unwrap();
        }
    };
    let (first, second, ()) = tokio::join!(ask(&cache, get(PAGE)), ask(&cache, get(PAGE)), pieces);
    assert_eq!((first.text(), second.text(), cache.inner().count()), ("page", "page", 1));
    assert_eq!(second.cache().collapsed, Some(true));
    assert_eq!(began.elapsed(), Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn an_unread_body_delays_the_next_request_only_briefly() {
    let (_sender, origin) = slow_page();
    let (cache, _) = origin.layer();
    let unread = cache.clone().oneshot(get(PAGE)).await.unwrap();
    let began = Instant::now();
    let second = ask(&cache, get(PAGE)).await;
    assert_eq!((second.text(), second.cache().collapsed), ("self", Some(false)));
    assert!(began.elapsed() <= Duration::from_millis(500), "{:?}", began.elapsed());
    drop(unread);
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_longer_than_set() {
    for (wait, set) in [(5, None), (2, Some(2)), (0, Some(0))] {
        let origin = Gate::always(&[("cache-control", "max-age=60")]);
        let (_, mut layer) = origin.layer();
        if let Some(seconds) = set {
            layer = layer.collapse(Duration::from_secs(seconds));
        }
        let cache = layer.layer(origin);
        let began = Instant::now();
        let mut all = Box::pin(join_all([ask(&cache, get(PAGE)), ask(&cache, get(PAGE))]));
        let both_there = async {
            while cache.inner().count() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = both_there => {}
            _ = &mut all => panic!("the origin has not answered"),
        }
        assert_eq!(began.elapsed().as_secs(), wait);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_requests_block_no_other_and_every_answer_is_whole() {
    let origin = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        tokio::task::yield_now().await;
        let body = format!("{} at length", request.uri().path()).repeat(5_000);
        let response = Response::builder().header("cache-control", "max-age=0");
        response.body(Full::new(Bytes::from(body)))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
    let tasks = (0..2_000_u64).map(|n| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let path = format!("/{}", n % 3);
            let uri = format!("http://example.com{path}");
            let asking = ask(&cache, get(&uri));
            if n % 4 == 0 {
                if let Ok(seen) = timeout(Duration::from_micros(n % 50), asking).await {
                    assert_eq!(seen.text(), format!("{path} at length").repeat(5_000));
                }
            } else {
                assert_eq!(asking.await.text(), format!("{path} at length").repeat(5_000));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        timeout(Duration::from_secs(60), task).await.expect("an end").unwrap();
    }
}
