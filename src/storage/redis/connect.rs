//! From options to an open handle.

use std::time::Duration;

use redis::aio::ConnectionManagerConfig;

use super::error::invalid;
use super::layout::Names;
use super::link::{Link, Servers};
use super::managers::Managers;
use super::options::{RedisStorageBuilder, Source};
use super::servers::servers;
use super::{RedisStorage, Shared};
use crate::storage::StorageError;

impl RedisStorageBuilder {
    /// Makes the storage. Without [`strict`](Self::strict) it asks nothing of the server yet. To be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::storage::StorageErrorKind::Invalid) when no server is named, or the URL or an option has an
    /// impossible value. If strict, also when the server cannot be used:
    /// [`Unavailable`](crate::storage::StorageErrorKind::Unavailable),
    /// [`Timeout`](crate::storage::StorageErrorKind::Timeout), [`Denied`](crate::storage::StorageErrorKind::Denied),
    /// [`Incompatible`](crate::storage::StorageErrorKind::Incompatible).
    pub async fn connect(mut self) -> Result<RedisStorage, StorageError> {
        let (builder, servers, place) = match self.source.take() {
            None => return Err(invalid("no server is named: set `url`, `client` or one of the others")),
            Some(Source::Url(url)) => {
                let (builder, url) = self.with_url(&url)?;
                builder.check()?;
                let (servers, place) = servers(&url, &builder)?;
                (builder, servers, place)
            }
            Some(Source::Client(client)) => {
                let place = client.get_connection_info().addr().to_string();
                (self, Servers::Client(client), place)
            }
            Some(Source::Manager(manager)) => {
                (self, Servers::Managers(Managers::of(manager)), "the given connection".to_owned())
            }
            Some(Source::Cluster(connection)) => {
                (self, Servers::Cluster(connection), "the given cluster".to_owned())
            }
            Some(Source::Sentinel(client)) => {
                (self, Servers::Sentinel(client), "the given sentinels".to_owned())
            }
        };
        builder.check()?;
        builder.open(servers, place).await
    }

    async fn open(self, servers: Servers, place: String) -> Result<RedisStorage, StorageError> {
        // The layer asks again soon enough; waiting longer would only delay callers.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(1024);
        let storage = RedisStorage::from(Shared {
            link: Link::new(servers, config, self.connections, place),
            names: Names::new(&self.options.namespace),
            options: self.options,
            lookups: Default::default(),
            ahead: Default::default(),
        });
        if self.strict {
            storage.shared.marks_made("connecting").await?;
        }
        Ok(storage)
    }
}
