//! What a hit, and a miss, costs beside the least it could cost.
//!
//! `cargo bench` prints medians of interleaved rounds and, what matters on a busy machine, their ratios: every case is
//! measured next to its floor in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use larder::clock::Timestamp;
use larder::entry::{Alias, BodyEnd, EntryId, GroupId, StoredHead};
use larder::key::CacheKey;
use larder::storage::{
    BodyReader, BodyWriter, Cursor, Fence, Keyspace, Lookup, Maintained, MemoryStorage, Page, Published,
    SqliteStorage, Storage, StorageError, Usage,
};
use larder::{Cache, CacheLayer};
use tower::{Layer, Service};

const ROUNDS: usize = 9;
const URLS: usize = 256;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("{:<44} {:>11} {:>11} {:>7}", "", "floor", "larder", "ratio");
    for size in [0, 1 << 10, 100 << 10, 1 << 20] {
        runtime.block_on(memory_hit(size));
    }
    allocations();
    runtime.block_on(memory_hit_64());
    for size in [1 << 10, 10 << 10, 100 << 10, 1 << 20] {
        runtime.block_on(sqlite_hit(size));
    }
    runtime.block_on(sqlite_hit_64());
    for size in [1 << 10, 100 << 10] {
        runtime.block_on(miss(size));
    }
    runtime.block_on(pass_through());
}

/// A service that clones a response it has ready: the floor of everything in memory.
#[derive(Clone)]
struct Bare(Arc<Prepared>);

struct Prepared {
    headers: HeaderMap,
    body: Bytes,
}

impl Bare {
    fn new(size: usize) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("content-type", "application/json; charset=utf-8"),
            ("cache-control", "public, max-age=86400"),
            ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("vary", "accept-encoding"),
            ("server", "nginx/1.27.0"),
            ("x-request-id", "6f1d5b0e-2f5c-4f3f-9f7b-5f7d0f3a1b2c"),
            ("x-frame-options", "DENY"),
            ("strict-transport-security", "max-age=31536000"),
            ("access-control-allow-origin", "*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.remove("date");
        headers.insert("content-length", HeaderValue::from(size));
        headers.insert("x-served-by", HeaderValue::from_static("cache-fra-eddf8230075"));
        Self(Arc::new(Prepared { headers, body: Bytes::from(vec![b'x'; size]) }))
    }
}

impl Service<Request<Full<Bytes>>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let mut response = Response::new(Full::new(self.0.body.clone()));
        *response.headers_mut() = self.0.headers.clone();
        ready(Ok(response))
    }
}

fn uris() -> Vec<http::Uri> {
    (0..URLS).map(|n| format!("https://api.example.com/v1/items/{n}?page=2").parse().unwrap()).collect()
}

fn request(uri: &http::Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri.clone();
    request.headers_mut().insert("accept-encoding", HeaderValue::from_static("gzip, br"));
    request
}

/// One request, and all of its body.
async fn one<S, R>(service: &mut S, uri: &http::Uri) -> usize
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let response = service.call(request(uri)).await.unwrap();
    let mut body = std::pin::pin!(black_box(response).into_body());
    let mut len = 0;
    while let Some(frame) = body.frame().await {
        len += black_box(frame.unwrap().into_data().map_or(0, |data| data.len()));
    }
    len
}

async fn timed<S, R>(service: &mut S, uris: &[http::Uri], times: usize) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let began = Instant::now();
    for uri in uris.iter().cycle().take(times) {
        black_box(one(service, uri).await);
    }
    began.elapsed() / u32::try_from(times).unwrap()
}

/// Prints two medians and the ratio of the second to the first.
fn report(name: &str, mut floor: Vec<Duration>, mut larder: Vec<Duration>) {
    floor.sort();
    larder.sort();
    let (floor, larder) = (floor[floor.len() / 2], larder[larder.len() / 2]);
    let ratio = larder.as_secs_f64() / floor.as_secs_f64();
    println!("{name:<44} {:>8.2} us {:>8.2} us {ratio:>6.2}x", micros(floor), micros(larder));
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn human(size: usize) -> String {
    if size < 1 << 10 { format!("{size} B") } else { format!("{} KiB", size >> 10) }
}

async fn warm(cache: &mut Cache<Bare>, uris: &[http::Uri]) {
    for uri in uris.iter().chain(uris) {
        one(cache, uri).await;
    }
    let before = cache.counts().misses;
    for uri in uris {
        one(cache, uri).await;
    }
    assert_eq!(cache.counts().misses, before, "everything measured below is a hit");
}

async fn memory_hit(size: usize) {
    let (uris, mut bare) = (uris(), Bare::new(size));
    let mut cache =
        CacheLayer::new(MemoryStorage::builder().max_bytes(1 << 30).build().unwrap()).layer(bare.clone());
    warm(&mut cache, &uris).await;
    let (mut floor, mut larder) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(timed(&mut bare, &uris, 20_000).await);
        larder.push(timed(&mut cache, &uris, 20_000).await);
    }
    report(&format!("memory hit, {}", human(size)), floor, larder);
}

/// Requests per second of 64 tasks, as time per request.
async fn at_once<S, R>(service: &S, uris: &[http::Uri], each: usize) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: std::fmt::Debug,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send,
    R::Error: std::fmt::Debug,
{
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (mut service, uris) = (service.clone(), uris.to_vec());
        tasks.spawn(async move {
            for uri in uris.iter().cycle().take(each) {
                one(&mut service, uri).await;
            }
        });
    }
    tasks.join_all().await;
    began.elapsed() / u32::try_from(64 * each).unwrap()
}

async fn memory_hit_64() {
    let (uris, bare) = (uris(), Bare::new(1 << 10));
    let mut cache = CacheLayer::new(MemoryStorage::new()).layer(bare.clone());
    warm(&mut cache, &uris).await;
    let (mut floor, mut larder) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(at_once(&bare, &uris, 3_000).await);
        larder.push(at_once(&cache, &uris, 3_000).await);
    }
    report("memory hit, 1 KiB, 64 tasks on 2 workers", floor, larder);
}

fn allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (uris, mut bare) = (uris(), Bare::new(1 << 10));
    let mut cache = CacheLayer::new(MemoryStorage::new()).layer(bare.clone());
    runtime.block_on(warm(&mut cache, &uris));
    let floor =
        allocation_counter::measure(|| assert_eq!(runtime.block_on(one(&mut bare, &uris[0])), 1 << 10));
    let hit =
        allocation_counter::measure(|| assert_eq!(runtime.block_on(one(&mut cache, &uris[0])), 1 << 10));
    let (floor, hit) = (floor.count_total, hit.count_total);
    println!("{:<44} {floor:>11} {hit:>11}", "allocations per memory hit");
}

/// What a bare program would do: read the row, and the chunks of a long body, with prepared statements.
struct Rows {
    connection: rusqlite::Connection,
    hashes: Vec<i64>,
}

impl Rows {
    fn of(path: &std::path::Path) -> Self {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.pragma_update(None, "mmap_size", 256 << 20).unwrap();
        let hashes = {
            let mut statement = connection.prepare("SELECT hash FROM responses").unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        Self { connection, hashes }
    }

    fn read(&self, hash: i64) -> usize {
        let query = "SELECT chunked, head, body FROM responses WHERE hash = ?";
        let mut statement = self.connection.prepare_cached(query).unwrap();
        let (chunked, len) = statement
            .query_row([hash], |row| {
                let chunked: Option<i64> = row.get(0)?;
                let head = Bytes::copy_from_slice(row.get_ref(1)?.as_blob().unwrap());
                let body =
                    Bytes::copy_from_slice(row.get_ref(2)?.as_blob_or_null().unwrap().unwrap_or_default());
                Ok((chunked, black_box(head).len() + black_box(body).len()))
            })
            .unwrap();
        chunked.map_or(len, |body| len + self.read_chunks(body))
    }

    fn read_chunks(&self, body: i64) -> usize {
        let query = "SELECT data FROM chunks WHERE body = ? ORDER BY seq";
        let mut statement = self.connection.prepare_cached(query).unwrap();
        let mut rows = statement.query([body]).unwrap();
        let mut len = 0;
        while let Some(row) = rows.next().unwrap() {
            len += black_box(Bytes::copy_from_slice(row.get_ref(0).unwrap().as_blob().unwrap())).len();
        }
        len
    }

    fn timed(&self, times: usize) -> Duration {
        let began = Instant::now();
        for hash in self.hashes.iter().cycle().take(times) {
            black_box(self.read(*hash));
        }
        began.elapsed() / u32::try_from(times).unwrap()
    }
}

async fn sqlite_hit(size: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.db");
    let uris = &uris()[..if size > 200 << 10 { 32 } else { URLS }];
    // The origin is in this process and faster than any disk; here it has to wait for the store.
    let layer =
        CacheLayer::new(SqliteStorage::open(&path).unwrap()).storage_patience(Duration::from_secs(60));
    let mut cache = layer.layer(Bare::new(size));
    warm(&mut cache, uris).await;
    let rows = Rows::of(&path);
    let times = if size > 50 << 10 { 1_000 } else { 5_000 };
    let (mut floor, mut larder) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(rows.timed(times));
        larder.push(timed(&mut cache, uris, times).await);
    }
    report(&format!("sqlite hit, {}", human(size)), floor, larder);
}

async fn sqlite_hit_64() {
    let folder = tempfile::tempdir().unwrap();
    let uris = uris();
    let storage = SqliteStorage::open(folder.path().join("cache.db")).unwrap();
    let mut cache = CacheLayer::new(storage).layer(Bare::new(1 << 10));
    warm(&mut cache, &uris).await;
    let mut rounds: Vec<_> = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(at_once(&cache, &uris, 1_000).await);
    }
    rounds.sort();
    let per_second = 1.0 / rounds[ROUNDS / 2].as_secs_f64();
    println!("{:<44} {:>24.0} hits/s", "sqlite hit, 1 KiB, 64 tasks on 2 workers", per_second);
}

/// A store that takes everything and keeps nothing.
#[derive(Debug)]
struct Nothing;

struct Discard;

impl BodyWriter for Discard {
    async fn write(&mut self, _: Bytes) -> Result<(), StorageError> {
        Ok(())
    }

    async fn publish(self, _: BodyEnd) -> Result<Published, StorageError> {
        Ok(Published::Stored)
    }

    async fn abort(self) {}
}

impl BodyReader for Discard {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }
}

impl Storage for Nothing {
    type Writer = Discard;
    type Reader = Discard;

    fn name(&self) -> &'static str {
        "nothing"
    }

    fn max_body(&self) -> u64 {
        u64::MAX
    }

    async fn lookup(&self, _: &CacheKey) -> Result<Lookup, StorageError> {
        Ok(Lookup::default())
    }

    async fn open(&self, _: &StoredHead) -> Result<Discard, StorageError> {
        Ok(Discard)
    }

    async fn begin(&self, _: StoredHead, _: Fence) -> Result<Discard, StorageError> {
        Ok(Discard)
    }

    async fn freshen(&self, _: StoredHead, _: Fence) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn put_alias(&self, _: Alias, _: Fence) -> Result<Published, StorageError> {
        Ok(Published::Stored)
    }

    async fn remove(&self, _: &CacheKey) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn remove_entry(&self, _: &CacheKey, _: EntryId) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn invalidate(&self, _: &[GroupId]) -> Result<(), StorageError> {
        Ok(())
    }

    async fn responses(&self, _: Option<&Cursor>, _: usize) -> Result<Page<StoredHead>, StorageError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn aliases(&self, _: Option<&Cursor>, _: usize) -> Result<Page<Alias>, StorageError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        Ok(Usage::default())
    }

    async fn clear(&self, _: Option<Keyspace>) -> Result<(), StorageError> {
        Ok(())
    }

    async fn maintain(&self, _: Timestamp) -> Result<Maintained, StorageError> {
        Ok(Maintained::default())
    }
}

/// A server on loopback that answers everything with one body.
async fn origin(size: usize) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bare = Bare::new(size);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            let bare = bare.clone();
            let service = hyper::service::service_fn(move |_| {
                let bare = bare.clone();
                async move {
                    let mut response = Response::new(Full::new(bare.0.body.clone()));
                    *response.headers_mut() = bare.0.headers.clone();
                    Ok::<_, Infallible>(response)
                }
            });
            let socket = hyper_util::rt::TokioIo::new(socket);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(socket, service));
        }
    });
    address
}

/// Misses over a hyper client at 64 tasks: with the layer over a store that does nothing, and without the layer.
async fn miss(size: usize) {
    let address = origin(size).await;
    let uris: Vec<http::Uri> = (0..URLS).map(|n| format!("http://{address}/{n}").parse().unwrap()).collect();
    let mut connector = hyper_util::client::legacy::connect::HttpConnector::new();
    connector.set_nodelay(true);
    let executor = hyper_util::rt::TokioExecutor::new();
    let client = hyper_util::client::legacy::Client::builder(executor).build::<_, Full<Bytes>>(connector);
    let cache = CacheLayer::new(Nothing).layer(client.clone());
    let (mut floor, mut larder) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(at_once(&client, &uris, 100).await);
        larder.push(at_once(&cache, &uris, 100).await);
    }
    report(&format!("miss over hyper, {}, 64 tasks", human(size)), floor, larder);
}

/// A method the cache has no part in.
async fn pass_through() {
    async fn options<S, R>(service: &mut S, uri: &http::Uri, times: u32) -> Duration
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>>,
        S::Error: std::fmt::Debug,
    {
        let began = Instant::now();
        for _ in 0..times {
            let mut request = request(uri);
            *request.method_mut() = http::Method::OPTIONS;
            black_box(service.call(request).await.unwrap());
        }
        began.elapsed() / times
    }
    let (uris, mut bare) = (uris(), Bare::new(0));
    let mut cache = CacheLayer::new(Nothing).layer(bare.clone());
    let (mut floor, mut larder) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(options(&mut bare, &uris[0], 50_000).await);
        larder.push(options(&mut cache, &uris[0], 50_000).await);
    }
    report("pass through, OPTIONS", floor, larder);
}
