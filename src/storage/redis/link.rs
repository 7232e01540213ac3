//! The way to the server: one, a cluster, or the primary that sentinels name.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use redis::aio::{ConnectionLike, ConnectionManagerConfig};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{Client, ErrorKind, RedisError, RedisResult, Value};

use super::call::{Call, Calls, is_unknown_script};
use super::error::{from_driver, is_broken, is_elsewhere};
use super::managers::{Lane, Managers};
use crate::storage::StorageError;

/// What the connections are made from.
pub(super) enum Servers {
    Client(Box<Client>),
    Sentinel(Arc<tokio::sync::Mutex<SentinelClient>>),
    Managers(Managers),
    Cluster(ClusterConnection),
}

/// A caller that leaves sooner says nothing about the server.
const SILENCE: Duration = Duration::from_millis(100);

/// A call under way. Its caller may have less patience than the connection, and drop it: if the server said nothing
/// at all meanwhile it may be gone permanently, or no longer the primary, and no caller would ever see the timeout.
struct Waiting<'a> {
    link: &'a Link,
    managers: Managers,
    since: Instant,
    heard: usize,
}

impl<'a> Waiting<'a> {
    fn new(link: &'a Link, managers: Managers) -> Self {
        let heard = managers.heard();
        Self { link, managers, since: Instant::now(), heard }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.managers.heard() == self.heard && self.since.elapsed() >= SILENCE {
            self.link.forget(&self.managers);
        }
    }
}

pub(super) struct Link {
    pub(super) servers: Servers,
    current: Mutex<Option<Managers>>,
    config: ConnectionManagerConfig,
    connections: usize,
    /// Schemes and hosts, for messages.
    place: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl Link {
    pub(super) fn new(
        servers: Servers,
        config: ConnectionManagerConfig,
        connections: usize,
        place: String,
    ) -> Self {
        Self { servers, current: Mutex::new(None), config, connections, place }
    }

    pub(super) fn error(&self, action: &str, cause: RedisError) -> StorageError {
        from_driver(action, &self.place, cause)
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Cluster(_))
    }

    /// Sends all calls at once. Each has its own result; those that only read are asked for once more when the
    /// connection turns out to be broken.
    pub(super) async fn send(&self, lane: Lane, reads: bool, calls: &Calls) -> Vec<RedisResult<Value>> {
        let mut results = self.attempt(lane, calls).await;
        if reads && results.iter().any(|result| result.as_ref().is_err_and(is_broken)) {
            results = self.attempt(lane, calls).await;
        }
        if results.iter().any(|result| result.as_ref().is_err_and(is_unknown_script)) {
            for (place, whole) in calls.scripts() {
                let Some(result) = results.get_mut(place) else { continue };
                if result.as_ref().is_err_and(is_unknown_script) {
                    // The server remembers it from now on.
                    if let Some(again) = self.attempt(lane, &whole).await.pop() {
                        *result = again;
                    }
                }
            }
        }
        results
    }

    /// One call.
    pub(super) async fn ask(
        &self,
        action: &str,
        lane: Lane,
        reads: bool,
        call: impl Into<Call>,
    ) -> Result<Value, StorageError> {
        let reply = self.send(lane, reads, &Calls::from([call.into()])).await.pop();
        reply.unwrap_or(Ok(Value::Nil)).map_err(|cause| self.error(action, cause))
    }

    /// Many calls of which none may fail.
    pub(super) async fn ask_all(
        &self,
        action: &str,
        lane: Lane,
        reads: bool,
        calls: Calls,
    ) -> Result<Vec<Value>, StorageError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.send(lane, reads, &calls).await;
        replies.into_iter().collect::<RedisResult<_>>().map_err(|cause| self.error(action, cause))
    }

    async fn attempt(&self, lane: Lane, calls: &Calls) -> Vec<RedisResult<Value>> {
        if let Servers::Cluster(connection) = &self.servers {
            let each = calls.pipeline().cmd_iter().map(|cmd| {
                let mut connection = connection.clone();
                async move { connection.req_packed_command(cmd).await.and_then(Value::extract_error) }
            });
            let all: BoxFuture<'_, _> = Box::pin(join_all(each));
            return all.await;
        }
        let managers = match self.managers().await {
            Ok(managers) => managers,
            Err(cause) => return vec![Err(cause); calls.len()],
        };
        let waiting = Waiting::new(self, managers);
        let managers = &waiting.managers;
        let results = managers.send(lane, calls).await;
        let results = results.unwrap_or_else(|cause| vec![Err(cause); calls.len()]);
        if results.iter().any(|result| result.as_ref().is_err_and(is_elsewhere)) {
            self.forget(managers);
        }
        results
    }

    async fn managers(&self) -> RedisResult<Managers> {
        if let Servers::Managers(managers) = &self.servers {
            return Ok(managers.clone());
        }
        if let Some(current) = self.lock().clone() {
            return Ok(current);
        }
        let client = match &self.servers {
            Servers::Client(client) => Client::clone(client),
            Servers::Sentinel(sentinel) => {
                let mut sentinel = sentinel.lock().await;
                // All callers that waited here get the result of the first one.
                if let Some(current) = self.lock().clone() {
                    return Ok(current);
                }
                // The driver's futures are deep; boxed, they do not count for those that wait for them.
                let found: BoxFuture<'_, _> = Box::pin(sentinel.async_get_client());
                match self.config.response_timeout() {
                    Some(limit) => tokio::time::timeout(limit, found).await.map_err(|_| {
                        RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))
                    })??,
                    None => found.await?,
                }
            }
            Servers::Managers(_) | Servers::Cluster(_) => {
                return Err((ErrorKind::Client, "these connections are not made here").into());
            }
        };
        let managers = Managers::new(&client, &self.config, self.connections)?;
        Ok(self.lock().get_or_insert(managers).clone())
    }

    /// Connections to a server that is not the primary any more are made anew, and those that were not let in.
    fn forget(&self, managers: &Managers) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| current.is(managers)) {
            *current = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Managers>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

pub(super) fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) | Value::Set(values) => values,
        _ => Vec::new(),
    }
}
