//! A caching reverse proxy: a hyper server in front, a hyper client behind, larder between them.
//!
//! ```text
//! cargo run --release --example caching_proxy -- \
//!     --listen 127.0.0.1:8100 --origin http://127.0.0.1:8000 --mode shared --storage sqlite:cache.db --cache-status
//! ```
//!
//! It shows how little stands around the layer, and it is what the public cache test suite is run against
//! (`scripts/cache-tests`). It is no replacement for a gateway: HTTP/1.1 only, no access log, no limits.

#[path = "../support/chain.rs"]
mod chain;
mod forward;
mod informational;
mod options;
mod proxy;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use tokio::net::TcpListener;
use tower::Layer;

use crate::chain::Chain;
use crate::options::Options;
use crate::proxy::{client, serve};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("caching_proxy: {}", Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), BoxError> {
    let client = client();
    let listener = TcpListener::bind(options.listen).await?;
    let cache = options.cache_layer().await?;
    // QUERY is cacheable, with its content in the key.
    let keyed = cache.key_content();
    match options.follow_redirects {
        Some(limit) => {
            let following = cache.follow_redirects(limit).layer(client);
            serve(listener, &options.origin, keyed.layer(following)).await
        }
        None => serve(listener, &options.origin, keyed.layer(cache.layer(client))).await,
    }
}
