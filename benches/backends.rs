//! Hits and stores over real servers, each beside the bare driver doing the same reads in the same run.
//!
//! `cargo bench --all-features --bench backends` measures the servers that REDIS_URL, MONGODB_URL and DYNAMODB_URL
//! name, and says which it skipped. A hit is a lookup and, for a long body, reading all of it. The bare driver reads
//! a body of that length in the form that its server has for such things and, in the same trip, the few bytes that
//! tell a cache whether what it found is still of its namespace. Many at once, it does so for each; a storage may
//! read for several together. `-- "redis hit, 1 KiB"` measures only what begins like that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures_util::AsyncReadExt;
use http::{HeaderValue, StatusCode};
use larder::entry::{BodyEnd, StoredBody, StoredHead};
use larder::key::CacheKey;
use larder::storage::{DynStorage, Published};
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use redis::AsyncCommands;

const ROUNDS: usize = 5;
const SIZES: [usize; 3] = [1 << 10, 100 << 10, 10 << 20];
const KEYS: usize = 16;
/// What one DynamoDB item holds here.
const ITEM: usize = 255 << 10;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The least a program could do with the driver: write one value, read it and a small one back.
trait Bare: Send + Sync + 'static {
    fn write(&self, n: usize, body: Bytes) -> Boxed<()>;
    fn read(&self, n: usize) -> Boxed<usize>;
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!("{:<36} {:>12} {:>12} {:>7}", "", "bare", "larder", "ratio");
    if let Some(url) = server("REDIS_URL") {
        let client = redis::Client::open(url.as_str()).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        backend("redis", &with_option(&url, "namespace=larder-bench"), RedisBare(connection)).await;
    }
    if let Some(url) = server("MONGODB_URL") {
        let client = mongodb::Client::with_uri_str(&url).await.unwrap();
        let database = client.database("larder-bench");
        let place = |scheme: &str| format!("{scheme}{}", with_path(&url, "larder-bench"));
        let bare = database.collection("bare");
        bare.insert_one(doc! { "_id": MARKS }).await.unwrap();
        backend("mongodb", &place(""), MongoBare(bare)).await;
        backend("gridfs", &place("gridfs+"), GridFsBare(database.clone())).await;
        database.drop().await.unwrap();
    }
    if let Some(endpoint) = server("DYNAMODB_URL") {
        let region = aws_sdk_dynamodb::config::Region::new("us-east-1");
        let storage =
            format!("dynamodb://larder-bench?region=us-east-1&endpoint={endpoint}&create_table=true");
        let opened = larder::storage::open(&storage).await.unwrap();
        opened.clear(None).await.unwrap();
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_config::from_env().region(region).endpoint_url(endpoint).http_client(http);
        let client = aws_sdk_dynamodb::Client::new(&config.load().await);
        backend("dynamodb", &storage, DynamoBare(client)).await;
    }
}

/// Whether the command line asks for it, or for nothing.
fn wanted(name: &str) -> bool {
    let mut asked = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    asked.peek().is_none() || asked.any(|beginning| name.starts_with(&beginning))
}

fn server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        println!("skipped: no {variable}");
    }
    url
}

fn with_option(url: &str, option: &str) -> String {
    format!("{url}{}{option}", if url.contains('?') { '&' } else { '?' })
}

/// `mongodb://host:port/?x=y` with a database in its path.
fn with_path(url: &str, database: &str) -> String {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    format!("{}/{database}?{query}", place.trim_end_matches('/'))
}

async fn backend(name: &str, url: &str, bare: impl Bare) {
    let storage = larder::storage::open(url).await.unwrap();
    storage.clear(None).await.unwrap();
    let bare = Arc::new(bare);
    for size in SIZES {
        let body = Bytes::from(vec![b'x'; size]);
        let rounds = if size > 1 << 20 { 3 } else { ROUNDS };
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            floor.push(each(|n| bare.write(n, body.clone())).await);
            ours.push(each(|n| store(Arc::clone(&storage), n, body.clone())).await);
        }
        report(&format!("{name} store, {}", human(size)), floor, ours);
        let times = (200_000_000 / (size + 10_000)).clamp(KEYS, 10_000);
        for tasks in [1, 64] {
            let name = format!("{name} hit, {}, {tasks} at once", human(size));
            if !wanted(&name) {
                continue;
            }
            let (mut floor, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let bare = Arc::clone(&bare);
                floor.push(reads(tasks, times, move |n| bare.read(n)).await);
                let storage = Arc::clone(&storage);
                ours.push(reads(tasks, times, move |n| hit(Arc::clone(&storage), n, size)).await);
            }
            report(&name, floor, ours);
        }
    }
    storage.clear(None).await.unwrap();
}

fn key(n: usize) -> CacheKey {
    CacheKey::builder().part(CacheKey::URI, format!("https://api.example.com/v1/items/{n}")).build()
}

fn store(storage: Arc<dyn DynStorage>, n: usize, body: Bytes) -> Boxed<()> {
    Box::pin(async move {
        let mut head = StoredHead::new(key(n), StatusCode::OK);
        for name in ["content-type", "etag", "cache-control", "last-modified", "server", "vary"] {
            head.headers.insert(name, HeaderValue::from_static("some value of a usual length"));
        }
        let fence = storage.lookup(&head.key).await.unwrap().fence;
        let mut writer = storage.begin(head, fence).await.unwrap();
        for piece in body.chunks(64 << 10) {
            writer.write(body.slice_ref(piece)).await.unwrap();
        }
        assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    })
}

fn hit(storage: Arc<dyn DynStorage>, n: usize, size: usize) -> Boxed<usize> {
    Box::pin(async move {
        let found = storage.lookup(&key(n)).await.unwrap().responses.remove(0);
        let len = match found.body {
            StoredBody::Inline(body) => body.len(),
            _ => {
                let (mut reader, mut len) = (storage.open(&found.head).await.unwrap(), 0);
                while let Some(piece) = reader.next().await.unwrap() {
                    len += piece.len();
                }
                len
            }
        };
        assert_eq!(len, size);
        len
    })
}

/// Time of one write, over all keys.
async fn each(write: impl Fn(usize) -> Boxed<()>) -> Duration {
    let began = Instant::now();
    for n in 0..KEYS {
        write(n).await;
    }
    began.elapsed() / u32::try_from(KEYS).unwrap()
}

/// Time of one read, with so many tasks reading at once.
async fn reads(
    tasks: usize,
    times: usize,
    read: impl Fn(usize) -> Boxed<usize> + Send + Sync + 'static,
) -> Duration {
    let (read, each) = (Arc::new(read), times.div_ceil(tasks));
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let read = Arc::clone(&read);
        running.spawn(async move {
            for n in 0..each {
                read((task + n) % KEYS).await;
            }
        });
    }
    running.join_all().await;
    began.elapsed() / u32::try_from(tasks * each).unwrap()
}

fn report(name: &str, mut floor: Vec<Duration>, mut ours: Vec<Duration>) {
    floor.sort();
    ours.sort();
    let micros = |all: &[Duration]| all[all.len() / 2].as_secs_f64() * 1e6;
    let (floor, ours) = (micros(&floor), micros(&ours));
    println!("{name:<36} {floor:>9.1} us {ours:>9.1} us {:>6.2}x", ours / floor);
}

fn human(size: usize) -> String {
    if size < 1 << 20 { format!("{} KiB", size >> 10) } else { format!("{} MiB", size >> 20) }
}

struct RedisBare(redis::aio::MultiplexedConnection);

impl Bare for RedisBare {
    fn write(&self, n: usize, body: Bytes) -> Boxed<()> {
        let mut connection = self.0.clone();
        Box::pin(async move {
            let fields = [("t", &b"0123456789abcdef"[..]), ("v1", &body[..])];
            let () = connection.hset_multiple(format!("bare:{n}"), &fields).await.unwrap();
        })
    }

    fn read(&self, n: usize) -> Boxed<usize> {
        let mut connection = self.0.clone();
        Box::pin(async move {
            let mut both = redis::pipe();
            both.hgetall(format!("bare:{n}")).hget("bare:marks", "s");
            let (fields, _): (Vec<Vec<u8>>, Option<Vec<u8>>) =
                both.query_async(&mut connection).await.unwrap();
            // The body is the longest of names and values, whose order is the server's.
            fields.iter().map(Vec::len).max().unwrap()
        })
    }
}

struct MongoBare(mongodb::Collection<Document>);

const MARKS: i64 = -1;

impl Bare for MongoBare {
    fn write(&self, n: usize, body: Bytes) -> Boxed<()> {
        let collection = self.0.clone();
        Box::pin(async move {
            let bytes = Binary { subtype: BinarySubtype::Generic, bytes: body.into() };
            let whole = doc! { "_id": i64::try_from(n).unwrap(), "body": bytes };
            let filter = doc! { "_id": i64::try_from(n).unwrap() };
            collection.replace_one(filter, whole).upsert(true).await.unwrap();
        })
    }

    fn read(&self, n: usize) -> Boxed<usize> {
        let collection = self.0.clone();
        Box::pin(async move {
            let both = doc! { "_id": { "$in": [i64::try_from(n).unwrap(), MARKS] } };
            let mut found = collection.find(both).await.unwrap();
            let mut len = 0;
            while found.advance().await.unwrap() {
                len += found.current().get_binary("body").map_or(0, |body| body.bytes.len());
            }
            len
        })
    }
}

struct GridFsBare(mongodb::Database);

impl Bare for GridFsBare {
    fn write(&self, n: usize, body: Bytes) -> Boxed<()> {
        let bucket = self.0.gridfs_bucket(None);
        Box::pin(async move {
            use futures_util::AsyncWriteExt;
            let mut upload = bucket.open_upload_stream(n.to_string()).await.unwrap();
            upload.write_all(&body).await.unwrap();
            upload.close().await.unwrap();
        })
    }

    fn read(&self, n: usize) -> Boxed<usize> {
        let bucket = self.0.gridfs_bucket(None);
        Box::pin(async move {
            let mut body = Vec::new();
            let mut download = bucket.open_download_stream_by_name(n.to_string()).await.unwrap();
            download.read_to_end(&mut body).await.unwrap()
        })
    }
}

struct DynamoBare(aws_sdk_dynamodb::Client);

impl Bare for DynamoBare {
    fn write(&self, n: usize, body: Bytes) -> Boxed<()> {
        let client = self.0.clone();
        Box::pin(async move {
            for (part, piece) in body.chunks(ITEM).enumerate() {
                let put = client.put_item().table_name("larder-bench");
                let put = put.item("pk", AttributeValue::S(format!("bare/{n}")));
                let put = put.item("sk", AttributeValue::S(format!("{part:05}")));
                put.item("body", AttributeValue::B(piece.to_vec().into())).send().await.unwrap();
            }
        })
    }

    fn read(&self, n: usize) -> Boxed<usize> {
        let client = self.0.clone();
        Box::pin(async move {
            let query = client.query().table_name("larder-bench").key_condition_expression("pk = :pk");
            let query = query.expression_attribute_values(":pk", AttributeValue::S(format!("bare/{n}")));
            let mut pages = query.consistent_read(true).into_paginator().send();
            let mut len = 0;
            while let Some(page) = pages.next().await {
                for item in page.unwrap().items() {
                    len += item["body"].as_b().unwrap().as_ref().len();
                }
            }
            len
        })
    }
}
