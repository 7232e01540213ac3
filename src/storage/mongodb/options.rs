//! How a user gets one of the two storages.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::options::{ClientOptions, ReadPreference, WriteConcern};

use super::error::kind_of;
use super::settings::Settings;
use super::store::Store;
use crate::storage::MongoStorage;
use crate::storage::url::{Schemes, check_credentials, opened};
use crate::storage::{StorageError, StorageErrorKind};

const DEFAULT_DATABASE: &str = "larder";
/// A cache that waits half a minute for its server, as the driver would, is of no use.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// After a step-down the driver believes a server again with its next heartbeat; that must come before a selection
/// times out.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Large bodies keep a connection busy for a while; the driver's ten are few for them.
const MAX_POOL_SIZE: u32 = 64;

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("mongodb", "mongodb://localhost/web?collection=cache"), ("mongodb+srv", "")],
    open: |url| Box::pin(async move { opened(MongoStorage::connect(url.whole).await) }),
};

/// A storage that stands on the shared store.
pub(crate) trait FromStore {
    /// The backend's name.
    const NAME: &'static str;
    /// What its URLs have in front of the driver's scheme.
    const PREFIX: &'static str;
    /// Whether bodies in chunks are files.
    const FILES: bool;

    fn from_store(store: Arc<Store>) -> Self;
}

/// Connects a [`MongoStorage`](super::MongoStorage) or a `GridFsStorage`; the options are the same.
///
/// Every option can also stand in the URL's query, under the name of its method. All other parameters of the query are the driver's: `w`, `readPreference`, `replicaSet`, `tls`, `authSource`, ...
#[must_use = "a builder does nothing until `connect` is called"]
pub struct MongoBuilder<S> {
    source: Source,
    settings: Settings,
    storage: PhantomData<fn() -> S>,
}

enum Source {
    Url(String),
    Options(Box<ClientOptions>),
    Client(Client),
}

/// URL and options can have passwords in them: only what they are is shown.
impl<S> fmt::Debug for MongoBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Url(_) => "url",
            Source::Options(_) => "options",
            Source::Client(_) => "client",
        };
        f.debug_struct("MongoBuilder").field("source", &source).field("settings", &self.settings).finish()
    }
}

impl<S> MongoBuilder<S> {
    fn new(source: Source) -> Self {
        Self { source, settings: Settings::default(), storage: PhantomData }
    }

    pub(crate) fn url(url: impl Into<String>) -> Self {
        Self::new(Source::Url(url.into()))
    }

    pub(crate) fn options(options: ClientOptions) -> Self {
        Self::new(Source::Options(Box::new(options)))
    }

    pub(crate) fn client(client: Client) -> Self {
        Self::new(Source::Client(client))
    }

    /// The database; the one that the URL or the options name unless set, and `larder` if they name none.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.settings.database = Some(name.into());
        self
    }

    /// The collection, `larder` unless set: caches with different collections know nothing of each other.
    pub fn collection(mut self, name: impl Into<String>) -> Self {
        self.settings.collection = name.into();
        self
    }

    /// The bucket that larger bodies go to, `<bucket>.chunks`; called like the collection unless set. It may be one
    /// that others use too, `fs` for example.
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.settings.bucket = Some(name.into());
        self
    }

    /// The longest body that stands in its document and comes with a lookup; 64 KiB unless set, 4 MiB at most.
    pub fn inline_threshold(mut self, bytes: usize) -> Self {
        self.settings.set_inline_threshold(bytes);
        self
    }

    /// The length of a larger body's chunks; 255 KiB unless set, from 1 KiB to 8 MiB.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.settings.set_chunk_size(bytes);
        self
    }

    /// The longest body that is stored; no limit unless set.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.settings.max_body = Some(bytes);
        self
    }

    /// Whether text and JSON bodies in documents are also stored as text and BSON (the fields `text` and `json`), for
    /// people and queries; not unless set.
    pub fn decode(mut self, decode: bool) -> Self {
        self.settings.decode = decode;
        self
    }

    /// Whether the server deletes what is of no use any more, by a TTL index; it does unless set otherwise. The cache
    /// that opened the collection last decides.
    pub fn ttl(mut self, ttl: bool) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// How long after its usable time the server deletes something; an hour unless set.
    pub fn ttl_margin(mut self, margin: Duration) -> Self {
        self.settings.ttl_margin = margin;
        self
    }

    /// How long one call to the server may take; ten seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How many members must have stored something before it counts; the client's unless set. A removal that only
    /// one member knows of can be lost with it: use a majority where removals must hold.
    pub fn write_concern(mut self, concern: WriteConcern) -> Self {
        self.settings.write_concern = Some(concern);
        self
    }

    /// Which members are asked by lookups and for bodies; the client's unless set. Secondaries may be behind: a lookup
    /// there can find what was removed a moment ago. Whether a fill is refused is always decided by the primary.
    pub fn read_preference(mut self, preference: ReadPreference) -> Self {
        self.settings.read_preference = Some(preference);
        self
    }

    /// Makes [`connect`](Self::connect) fail when the server cannot be used. Without it the storage works, its calls
    /// fail until the server comes up, and the cache answers from the origin meanwhile.
    pub fn strict(mut self) -> Self {
        self.settings.strict = true;
        self
    }
}

#[allow(private_bounds, reason = "there are two storages, and users name them")]
impl<S: FromStore> MongoBuilder<S> {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] when URL or options make no sense. With [`strict`](Self::strict) also when the
    /// server cannot be reached or used.
    pub async fn connect(mut self) -> Result<S, StorageError> {
        let (client, hosts, named) = match self.source {
            Source::Client(client) => {
                let named = client.default_database().map(|database| database.name().to_owned());
                (client, String::new(), named)
            }
            Source::Options(options) => connect(S::NAME, *options)?,
            Source::Url(url) => {
                let url = url.strip_prefix(S::PREFIX).unwrap_or(&url);
                check_credentials(S::NAME, url)?;
                let url = self.settings.split_url(url, S::NAME)?;
                let options = ClientOptions::parse(url).await.map_err(|error| unusable(S::NAME, &error))?;
                connect(S::NAME, options)?
            }
        };
        let database = self.settings.database.clone().or(named);
        let database = client.database(database.as_deref().unwrap_or(DEFAULT_DATABASE));
        let strict = self.settings.strict;
        let store = Arc::new(Store::new(S::NAME, self.settings, &database, S::FILES, &hosts));
        if strict {
            store.ready().await?;
        }
        Ok(S::from_store(store))
    }
}

fn connect(
    backend: &'static str,
    mut options: ClientOptions,
) -> Result<(Client, String, Option<String>), StorageError> {
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    options.max_pool_size.get_or_insert(MAX_POOL_SIZE);
    options.app_name.get_or_insert_with(|| "larder".to_owned());
    let hosts: Vec<_> = options.hosts.iter().map(ToString::to_string).collect();
    let hosts = format!("{}/", hosts.join(","));
    let named = options.default_database.clone();
    let client = Client::with_options(options).map_err(|error| unusable(backend, &error))?;
    Ok((client, hosts, named))
}

/// The driver's text could quote the URL, and the URL can have a password in it.
fn unusable(backend: &'static str, error: &mongodb::error::Error) -> StorageError {
    let kind = match kind_of(error) {
        StorageErrorKind::Other => StorageErrorKind::Invalid,
        kind => kind,
    };
    let what =
        "connecting: the URL or the options cannot be used; mongodb://user:password@host:port/database?...";
    StorageError::new(kind, backend, what)
}
