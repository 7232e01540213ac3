//! From options to an open handle.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder as ClientConfig, Region, StalledStreamProtectionConfig};

use super::error::invalid;
use super::options::{DynamoStorageBuilder, Source, without_userinfo};
use super::{DynamoStorage, http};
use crate::storage::StorageError;

impl DynamoStorageBuilder {
    /// Makes the storage. Without [`strict`](Self::strict) nothing is asked of the server yet.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::storage::StorageErrorKind::Invalid) when an option has an impossible value. If strict, also when
    /// the table cannot be used: [`Unavailable`](crate::storage::StorageErrorKind::Unavailable),
    /// [`Timeout`](crate::storage::StorageErrorKind::Timeout), [`Denied`](crate::storage::StorageErrorKind::Denied),
    /// [`Incompatible`](crate::storage::StorageErrorKind::Incompatible).
    pub async fn connect(self) -> Result<DynamoStorage, StorageError> {
        self.check()?;
        let (client, place) = self.client_and_place().await?;
        let storage = DynamoStorage::new(client, place, self.options);
        if self.strict {
            storage.ready().await?;
        }
        Ok(storage)
    }

    async fn client_and_place(&self) -> Result<(Client, String), StorageError> {
        let table = &self.options.table;
        let config = match &self.source {
            Source::Client(client) => {
                let region = client.config().region().map_or("unknown", Region::as_ref);
                return Ok((client.clone(), format!("table {table} ({region})")));
            }
            Source::Config(config) => SdkConfig::clone(config),
            Source::Environment => self.environment().await,
        };
        let mut builder = ClientConfig::from(&config);
        let region = self.region.clone().map(Region::new).or_else(|| config.region().cloned());
        let endpoint = self.endpoint.as_deref().or_else(|| config.endpoint_url());
        if endpoint.is_some_and(|endpoint| endpoint.contains('@')) {
            let why = "an endpoint has no user and password; credentials come from the environment or the configuration";
            return Err(invalid(why.to_owned()));
        }
        let place = match (endpoint, &region) {
            (Some(endpoint), _) => format!("table {table} at {}", without_userinfo(endpoint)),
            (None, Some(region)) => format!("table {table} ({region})"),
            (None, None) => {
                return Err(invalid("no region is set: name one, or set AWS_REGION".to_owned()));
            }
        };
        // A server that is not Amazon's takes any region, but a signature needs one.
        builder = builder.region(region.unwrap_or_else(|| Region::from_static("us-east-1")));
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Ok((Client::from_conf(builder.build()), place))
    }

    async fn environment(&self) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_timeout(self.timeout)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_secs(2));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http::client())
            .timeout_config(timeouts)
            .retry_config(retries)
            // It watches over streams; the calls of this service are short, and the timeouts bound them.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = self.region.clone() {
            loader = loader.region(Region::new(region));
        }
        loader.load().await
    }
}
