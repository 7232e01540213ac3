//! What a cache does, in one table.
//!
//! ```text
//! cargo run --example quickstart                       # against an origin of its own, on loopback
//! cargo run --example quickstart                       # again: what is fresh comes from the SQLite file
//! cargo run --example quickstart -- https://example.org/
//! cargo run --example quickstart -- --store memory:
//! ```

#[path = "support/chain.rs"]
mod chain;
#[path = "support/client.rs"]
mod client;
#[path = "support/origin.rs"]
mod origin;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use larder::status::Outcome;
use larder::storage::{DynStorage, SqliteStorage};
use larder::{CacheLayer, CacheStatus};
use tower::{Service, ServiceBuilder, ServiceExt};

/// What we call the origin on this machine.
const ORIGIN: &str = "quickstart.test";

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes a handful of requests twice, through a cache, and shows what became of each.
#[derive(Parser)]
struct Options {
    /// Where responses are kept: memory:, sqlite:PATH or file:DIR [default: a SQLite file in your cache directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// What to fetch instead of the paths of an origin on this machine
    urls: Vec<Uri>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {}", chain::Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), BoxError> {
    let (storage, place) = storage(options.store).await?;
    println!("kept in {place}\n");

    // The origin gets another port in each run: it needs a name for its stored responses to be found by.
    let client = client::https(ORIGIN, origin::start().await?)?;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = ServiceBuilder::new()
        .layer(CacheLayer::new(storage).cache_status_header(true).follow_redirects(5))
        .map_request(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            request
        })
        .service(client);

    let requests = if options.urls.is_empty() { tour()? } else { visit(options.urls)? };
    let (mut made, mut hits) = (0, 0);
    println!("{:<38} {:>6} {:>8} {:>9}  cache-status", "url", "status", "bytes", "time");
    for request in requests.iter().chain(&requests) {
        let line = fetch(service.clone(), request.clone()).await?;
        made += 1;
        hits += usize::from(line.hit);
        println!("{line}");
    }
    println!("\n{made} requests, {hits} hits, {} origin requests", asked.load(Ordering::Relaxed));
    Ok(())
}

/// The storage, and its name for people.
async fn storage(url: Option<String>) -> Result<(Arc<dyn DynStorage>, String), BoxError> {
    if let Some(url) = url {
        return Ok((larder::storage::open(&url).await?, url));
    }
    let storage = SqliteStorage::in_user_cache_dir("larder-quickstart")?;
    let place = storage.path().map(|path| path.display().to_string()).unwrap_or_default();
    Ok((Arc::new(storage), place))
}

/// One of each: fresh for an hour, to be validated, a redirect, two languages of one URL, and not to be stored.
fn tour() -> Result<Vec<Request<Empty<Bytes>>>, http::Error> {
    let to = |path: &str| Request::get(format!("http://{ORIGIN}{path}"));
    [
        to("/fresh"),
        to("/validate"),
        to("/moved"),
        to("/greeting").header(ACCEPT_LANGUAGE, "en"),
        to("/greeting").header(ACCEPT_LANGUAGE, "de"),
        to("/secret"),
    ]
    .into_iter()
    .map(|request| request.body(Empty::new()))
    .collect()
}

fn visit(urls: Vec<Uri>) -> Result<Vec<Request<Empty<Bytes>>>, http::Error> {
    urls.into_iter()
        .map(|url| Request::get(url).header(USER_AGENT, "larder-quickstart").body(Empty::new()))
        .collect()
}

/// A line of the table.
struct Line {
    url: String,
    status: u16,
    bytes: usize,
    time: Duration,
    hit: bool,
    cache_status: String,
}

async fn fetch<S, R>(service: S, request: Request<Empty<Bytes>>) -> Result<Line, BoxError>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let mut url = request.uri().to_string();
    if let Some(language) = request.headers().get(ACCEPT_LANGUAGE) {
        url += &format!(" ({})", language.to_str()?);
    }
    let began = Instant::now();
    let (head, body) = service.oneshot(request).await.map_err(Into::into)?.into_parts();
    let bytes = body.collect().await.map_err(Into::into)?.to_bytes().len();
    let time = began.elapsed();
    let hit = head.extensions.get::<CacheStatus>().is_some_and(|status| status.outcome == Outcome::Hit);
    let cache_status = match head.headers.get("cache-status") {
        Some(value) => value.to_str()?.to_owned(),
        None => String::new(),
    };
    Ok(Line { url, status: head.status.as_u16(), bytes, time, hit, cache_status })
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, status, bytes, time, cache_status, .. } = self;
        write!(f, "{url:<38} {status:>6} {bytes:>8} {:>6.2} ms  {cache_status}", time.as_secs_f64() * 1000.0)
    }
}
