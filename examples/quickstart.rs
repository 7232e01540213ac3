//! What a cache does, in one table and in plain words, with the `Cache-Status` of RFC 9211 behind them.
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
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use larder::status::Outcome;
use larder::storage::{DynStorage, SqliteStorage};
use larder::{CacheLayer, CacheStatus};
use tower::{Service, ServiceBuilder, ServiceExt};

/// What we call the origin on this machine.
const ORIGIN: &str = "quickstart.test";

/// How often the page is asked for that many want.
const MANY: u32 = 1200;

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes a handful of requests twice, through a cache, and shows what became of each.
#[derive(Parser)]
struct Options {
    /// Where responses are kept: sqlite:PATH, memory: or file:DIR [default: sqlite: with a file in your cache directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// What to fetch instead of the paths of an origin on this machine
    #[arg(value_parser = absolute)]
    urls: Vec<Uri>,
}

fn absolute(url: &str) -> Result<Uri, String> {
    match url.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() => Ok(uri),
        Ok(_) => Err(format!("it has no scheme; try https://{url}")),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quickstart: {}", chain::Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Returns how many requests failed.
async fn run(options: Options) -> Result<usize, BoxError> {
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

    let of_your_own = !options.urls.is_empty();
    let requests = if of_your_own { visit(options.urls)? } else { tour()? };
    let (mut hits, mut failed, mut origin_takes) = (0, 0, Duration::MAX);
    println!(
        "{:<38} {:>6} {:>8} {:>9}  {:<34}  cache-status",
        "url", "status", "bytes", "time", "what became of it"
    );
    for request in requests.iter().chain(&requests) {
        match fetch(service.clone(), request.clone()).await {
            Ok(line) => {
                println!("{line}");
                hits += usize::from(line.hit);
                if !line.hit {
                    origin_takes = origin_takes.min(line.time);
                }
            }
            // The others may be there.
            Err(error) => {
                println!("{:<38} failed: {}", request.uri(), chain::Chain(&*error));
                failed += 1;
            }
        }
    }
    let made = 2 * requests.len();
    println!("\n{made} requests, {hits} hits, {} origin requests", asked.load(Ordering::Relaxed));
    if let Some(page) = requests.first().filter(|_| !of_your_own) {
        many_times(service, page, origin_takes).await?;
    }
    Ok(failed)
}

/// What a cache is for.
async fn many_times<S, R>(
    service: S,
    page: &Request<Empty<Bytes>>,
    origin_takes: Duration,
) -> Result<(), BoxError>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let began = Instant::now();
    for _ in 0..MANY {
        fetch(service.clone(), page.clone()).await?;
    }
    let (with, without) = (began.elapsed().as_secs_f64(), origin_takes.saturating_mul(MANY).as_secs_f64());
    println!("{MANY} times {}: {with:.2} s, where the origin would take {without:.0} s", page.uri());
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
    /// What the cache did, in plain words.
    words: String,
    /// The same in those of RFC 9211.
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
    let status = head.extensions.get::<CacheStatus>();
    let hit = status.is_some_and(CacheStatus::is_hit);
    let words = status.map(|status| in_words(status, bytes)).unwrap_or_default();
    let cache_status = match head.headers.get("cache-status") {
        Some(value) => value.to_str()?.to_owned(),
        None => String::new(),
    };
    Ok(Line { url, status: head.status.as_u16(), bytes, time, hit, words, cache_status })
}

fn in_words(status: &CacheStatus, bytes: usize) -> String {
    match (status.outcome, status.fwd_status) {
        (Outcome::Hit, _) => "from cache".to_owned(),
        (Outcome::Forwarded(_), Some(StatusCode::NOT_MODIFIED)) => {
            format!("confirmed by 304, {bytes} bytes saved")
        }
        (Outcome::Forwarded(_), _) if status.stored => "stored".to_owned(),
        (Outcome::Forwarded(_), _) => "not stored".to_owned(),
        _ => "nothing stored, and nobody asked".to_owned(),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, status, bytes, time, words, cache_status, .. } = self;
        let time = time.as_secs_f64() * 1000.0;
        write!(f, "{url:<38} {status:>6} {bytes:>8} {time:>6.2} ms  {words:<34}  {cache_status}")
    }
}
