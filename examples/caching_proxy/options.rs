//! The command line, and the cache it asks for.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use http::{HeaderName, Uri};
use larder::policy::SetCookie;
use larder::{CacheLayer, Policy};

use crate::BoxError;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// A caching reverse proxy made of hyper and larder.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8100")]
    pub(crate) listen: SocketAddr,

    /// The origin server, for example http://127.0.0.1:8000
    #[arg(long)]
    pub(crate) origin: Uri,

    /// Whose cache this is: one user's, or everybody's
    #[arg(long, value_enum, default_value_t = Mode::Shared)]
    mode: Mode,

    /// Where responses are kept: memory:, sqlite:PATH, file:DIR, or the URL of another backend compiled in
    #[arg(long, default_value = "memory:")]
    storage: String,

    /// Say in a Cache-Status field what the cache did
    #[arg(long)]
    cache_status: bool,

    /// Follow up to N redirects instead of handing them to the client
    #[arg(long, value_name = "N")]
    pub(crate) follow_redirects: Option<usize>,

    /// Obey this targeted cache-control field (repeatable, the first one present counts)
    /// [default in shared mode: CDN-Cache-Control]
    #[arg(long, value_name = "FIELD")]
    target: Vec<HeaderName>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Private,
    Shared,
}

impl Options {
    pub(crate) async fn cache_layer(&self) -> Result<CacheLayer, BoxError> {
        let storage = larder::storage::open(&self.storage).await?;
        Ok(CacheLayer::new(storage).policy(self.policy()).cache_status_header(self.cache_status))
    }

    fn policy(&self) -> Policy {
        let (policy, default) = match self.mode {
            Mode::Private => (Policy::private(), None),
            // A proxy passes on every field: an origin that sets cookies and lets them be stored means both.
            Mode::Shared => (Policy::shared().set_cookie(SetCookie::Store), Some(CDN_CACHE_CONTROL)),
        };
        if self.target.is_empty() { policy.targets(default) } else { policy.targets(self.target.clone()) }
    }
}
