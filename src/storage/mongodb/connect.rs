//! From options to an open storage.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::options::ClientOptions;

use super::DocumentStorage;
use super::bodies::Bodies;
use super::error::kind_of;
use super::options::MongoStorageBuilder;
use super::store::Store;
use crate::storage::url::check_credentials;
use crate::storage::{StorageError, StorageErrorKind};

const DEFAULT_DATABASE: &str = "larder";
/// The driver's default of half a minute is too long for a cache.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// After a step-down the driver believes a server again with its next heartbeat; that must come before a selection
/// times out.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Large bodies keep a connection busy for a while; the driver's ten are few for them.
const MAX_POOL_SIZE: u32 = 64;

/// A client, its hosts for messages, and the database that it names.
struct Connection {
    client: Client,
    hosts: String,
    database: Option<String>,
}

impl<B: Bodies> MongoStorageBuilder<DocumentStorage<B>> {
    /// Opens the storage.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] when the URL or an option is impossible, or when not exactly one of
    /// [`url`](Self::url), [`client_options`](Self::client_options) and [`client`](Self::client) is set. With
    /// [`strict`](Self::strict) also when the server cannot be reached or used.
    pub async fn connect(mut self) -> Result<DocumentStorage<B>, StorageError> {
        let url = self.url.take().map(|url| self.driver_url::<B>(&url)).transpose()?;
        self.check(B::NAME)?;
        let connection = self.connection::<B>(url).await?;
        let database = self.database.or(connection.database);
        let database = connection.client.database(database.as_deref().unwrap_or(DEFAULT_DATABASE));
        let store = Store::new(B::NAME, self.options, &database, B::FILES, &connection.hosts);
        if self.strict {
            store.ready().await?;
        }
        Ok(DocumentStorage { store: Arc::new(store), bodies: PhantomData })
    }
}

impl<S> MongoStorageBuilder<S> {
    /// The driver's part of a URL; the options of this crate are taken out of it.
    fn driver_url<B: Bodies>(&mut self, url: &str) -> Result<String, StorageError> {
        let url = url.strip_prefix(B::URL_PREFIX).unwrap_or(url);
        check_credentials(B::NAME, url)?;
        self.take_options(url, B::NAME)
    }

    async fn connection<B: Bodies>(&mut self, url: Option<String>) -> Result<Connection, StorageError> {
        match (url, self.client_options.take(), self.client.take()) {
            (Some(url), None, None) => {
                let options = ClientOptions::parse(url).await.map_err(|error| unusable(B::NAME, &error))?;
                Connection::new(B::NAME, options, self.connect_timeout)
            }
            (None, Some(options), None) => Connection::new(B::NAME, *options, self.connect_timeout),
            (None, None, Some(client)) if self.connect_timeout.is_none() => Ok(Connection::of(client)),
            (None, None, Some(_)) => {
                Err(invalid(B::NAME, "the option `connect_timeout` cannot be set for a `client`"))
            }
            _ => Err(invalid(B::NAME, "set exactly one of `url`, `client_options` and `client`")),
        }
    }
}

impl Connection {
    fn of(client: Client) -> Self {
        let database = client.default_database().map(|database| database.name().to_owned());
        Self { client, hosts: String::new(), database }
    }

    fn new(
        backend: &'static str,
        mut options: ClientOptions,
        timeout: Option<Duration>,
    ) -> Result<Self, StorageError> {
        let timeout = timeout.unwrap_or(CONNECT_TIMEOUT);
        options.server_selection_timeout.get_or_insert(timeout);
        options.connect_timeout.get_or_insert(timeout);
        options.heartbeat_freq.get_or_insert(HEARTBEAT);
        options.max_pool_size.get_or_insert(MAX_POOL_SIZE);
        options.app_name.get_or_insert_with(|| "larder".to_owned());
        let hosts: Vec<_> = options.hosts.iter().map(ToString::to_string).collect();
        let hosts = format!("{}/", hosts.join(","));
        let database = options.default_database.clone();
        let client = Client::with_options(options).map_err(|error| unusable(backend, &error))?;
        Ok(Self { client, hosts, database })
    }
}

fn invalid(backend: &'static str, what: &str) -> StorageError {
    StorageError::new(StorageErrorKind::Invalid, backend, format!("connecting: {what}"))
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
