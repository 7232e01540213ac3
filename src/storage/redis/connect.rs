//! From options to an open handle.

use std::time::Duration;

use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;

use super::error::error;
use super::layout::{MAX_NAMESPACE, Names};
use super::link::{Link, Managers, Source};
use super::options::RedisStorageBuilder;
use super::source::plan;
use super::{RedisStorage, Shared};
use crate::storage::url::Options;
use crate::storage::{StorageError, StorageErrorKind};

impl RedisStorageBuilder {
    /// The storage that a URL names.
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server; `rediss://` over TLS; options of the driver follow as a query |
    /// | `redis+unix:///run/redis.sock?db=0&user=u&pass=p` | one server by its Unix socket |
    /// | `redis+cluster://user:password@host1,host2:7000` | a cluster, by some of its nodes; `rediss+cluster://` |
    /// | `redis+sentinel://user:password@host1,host2:26379/service/0` | the primary of a service; `rediss+sentinel://` |
    ///
    /// `valkey` and `valkeys` in place of `redis` and `rediss` mean the same. To be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`] when URL or options make no sense; other kinds only when [`strict`](Self::strict).
    pub async fn connect(self, url: &str) -> Result<RedisStorage, StorageError> {
        let (source, place) = plan(url, &self)?;
        self.build(source, place).await
    }

    /// A storage that connects by this client, with all that was set there.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn client(self, client: Client) -> Result<RedisStorage, StorageError> {
        let place = client.get_connection_info().addr().to_string();
        self.build(Source::Client(client), place).await
    }

    /// A storage that uses this connection, whose timeouts are its own.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn manager(self, manager: ConnectionManager) -> Result<RedisStorage, StorageError> {
        self.build(Source::Managers(Managers::of(manager)), "the given connection".to_owned()).await
    }

    /// A storage that uses this cluster, whose timeouts are its own.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn cluster(self, connection: ClusterConnection) -> Result<RedisStorage, StorageError> {
        self.build(Source::Cluster(connection), "the given cluster".to_owned()).await
    }

    /// A storage on the primary that this client finds.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn sentinel(self, client: SentinelClient) -> Result<RedisStorage, StorageError> {
        self.build(Source::Sentinel(tokio::sync::Mutex::new(client)), "the given sentinels".to_owned()).await
    }

    async fn build(self, source: Source, place: String) -> Result<RedisStorage, StorageError> {
        let Some(names) = Names::new(&self.namespace) else {
            let action = format!(
                "the namespace must have 1 to {MAX_NAMESPACE} bytes and no braces or control characters"
            );
            return Err(error(StorageErrorKind::Invalid, action));
        };
        // The layer asks again soon enough; waiting longer would only delay callers.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_pipeline_buffer_size(1024);
        let link = Link::new(source, config, self.connections, place);
        let strict = self.strict;
        let storage = RedisStorage::from(Shared {
            link,
            names,
            options: self,
            lookups: Default::default(),
            ahead: Default::default(),
        });
        if strict {
            storage.check().await?;
        }
        Ok(storage)
    }
}

/// Options of larder are taken, those of the driver stay in the URL.
pub(super) async fn from_url(place: &str, mut options: Options) -> Result<RedisStorage, StorageError> {
    let o = &mut options;
    let mut builder = RedisStorageBuilder::default();
    builder = o.set(builder, "namespace", |builder, value: String| builder.namespace(value))?;
    builder = o.set(builder, "inline_threshold", RedisStorageBuilder::inline_threshold)?;
    builder = o.set(builder, "chunk_size", RedisStorageBuilder::chunk_size)?;
    builder = o.set(builder, "max_body", RedisStorageBuilder::max_body)?;
    builder = o.set(builder, "max_variants", RedisStorageBuilder::max_variants)?;
    builder = o.set(builder, "ttl", RedisStorageBuilder::ttl)?;
    builder = o.set(builder, "ttl_margin", RedisStorageBuilder::ttl_margin)?;
    builder = o.set(builder, "fill_window", RedisStorageBuilder::fill_window)?;
    builder = o.set(builder, "response_timeout", RedisStorageBuilder::response_timeout)?;
    builder = o.set(builder, "connect_timeout", RedisStorageBuilder::connect_timeout)?;
    builder = o.set(builder, "connections", RedisStorageBuilder::connections)?;
    builder = o.set(builder, "strict", |builder, on| if on { builder.strict() } else { builder })?;
    builder = o.set(builder, "ca_file", |builder, value: String| builder.ca_file(value))?;
    builder =
        o.set(builder, "sentinel_username", |builder, value: String| builder.sentinel_username(value))?;
    builder =
        o.set(builder, "sentinel_password", |builder, value: String| builder.sentinel_password(value))?;
    let mut driver = Vec::new();
    for name in ["protocol", "db", "user", "pass"] {
        if let Some(value) = o.take_raw(name) {
            driver.push(value);
        }
    }
    options.finish()?;
    let query = if driver.is_empty() { String::new() } else { format!("?{}", driver.join("&")) };
    builder.connect(&format!("{place}{query}")).await
}
