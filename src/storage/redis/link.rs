//! The way to the server: one, a cluster, or the primary that sentinels name.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::SentinelClient;
use redis::{Client, ErrorKind, RedisError, RedisResult, Value};

use super::call::{Call, Calls, is_unknown_script};
use super::error::{from_driver, is_broken, is_elsewhere};
use crate::storage::StorageError;

/// Which connection a call goes over: a small reply must not wait behind megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Heads,
    Bodies,
}

/// What the connections are made from.
pub(super) enum Source {
    Client(Client),
    Sentinel(tokio::sync::Mutex<SentinelClient>),
    Managers(Managers),
    Cluster(ClusterConnection),
}

/// A caller that leaves sooner says nothing about the server.
const SILENCE: Duration = Duration::from_millis(100);

/// Connections that come back by themselves.
#[derive(Clone)]
pub(super) struct Managers(Arc<Connections>);

struct Connections {
    heads: ConnectionManager,
    bodies: Vec<ConnectionManager>,
    turn: AtomicUsize,
    /// How often the server answered.
    heard: AtomicUsize,
}

impl Managers {
    pub(super) fn of(manager: ConnectionManager) -> Self {
        Self::both(manager, Vec::new())
    }

    fn new(client: &Client, config: &ConnectionManagerConfig, connections: usize) -> RedisResult<Self> {
        let manager = || ConnectionManager::new_lazy_with_config(client.clone(), config.clone());
        let bodies = (1..connections).map(|_| manager()).collect::<RedisResult<_>>()?;
        Ok(Self::both(manager()?, bodies))
    }

    fn both(heads: ConnectionManager, bodies: Vec<ConnectionManager>) -> Self {
        Self(Arc::new(Connections { heads, bodies, turn: AtomicUsize::new(0), heard: AtomicUsize::new(0) }))
    }

    fn on(&self, lane: Lane) -> ConnectionManager {
        let Connections { heads, bodies, turn, .. } = &*self.0;
        if lane == Lane::Heads || bodies.is_empty() {
            return heads.clone();
        }
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        bodies.get(turn % bodies.len()).unwrap_or(heads).clone()
    }

    fn heard(&self) -> usize {
        self.0.heard.load(Ordering::Relaxed)
    }
}

/// A call under way. Its caller may have less patience than the connection, and drop it: if the server said nothing
/// at all meanwhile it may be gone for good, or not be the primary any more, and nobody would ever see the timeout.
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
    source: Source,
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
        source: Source,
        config: ConnectionManagerConfig,
        connections: usize,
        place: String,
    ) -> Self {
        Self { source, current: Mutex::new(None), config, connections, place }
    }

    pub(super) fn error(&self, action: &str, cause: RedisError) -> StorageError {
        from_driver(action, &self.place, cause)
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.source, Source::Cluster(_))
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
        if let Source::Cluster(connection) = &self.source {
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
        let results = pipelined(managers.on(lane), calls).await;
        if results.is_ok() {
            managers.0.heard.fetch_add(1, Ordering::Relaxed);
        }
        let results = results.unwrap_or_else(|cause| vec![Err(cause); calls.len()]);
        if results.iter().any(|result| result.as_ref().is_err_and(is_elsewhere)) {
            self.forget(managers);
        }
        results
    }

    async fn managers(&self) -> RedisResult<Managers> {
        if let Source::Managers(managers) = &self.source {
            return Ok(managers.clone());
        }
        if let Some(current) = self.lock().clone() {
            return Ok(current);
        }
        let client = match &self.source {
            Source::Client(client) => client.clone(),
            Source::Sentinel(sentinel) => {
                let mut sentinel = sentinel.lock().await;
                // Whoever waited here finds what the first one found.
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
            Source::Managers(_) | Source::Cluster(_) => {
                return Err((ErrorKind::Client, "these connections are not made here").into());
            }
        };
        let managers = Managers::new(&client, &self.config, self.connections)?;
        Ok(self.lock().get_or_insert(managers).clone())
    }

    /// Connections to a server that is not the primary any more are made anew, and those that were not let in.
    fn forget(&self, managers: &Managers) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.0, &managers.0)) {
            *current = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Managers>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All servers that hold data, each by one of its slots.
    pub(super) async fn nodes(&self, action: &str) -> Result<Vec<Option<u16>>, StorageError> {
        if !self.is_cluster() {
            return Ok(vec![None]);
        }
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let Value::Array(ranges) = self.ask(action, Lane::Heads, true, slots).await? else {
            return Ok(Vec::new());
        };
        let mut seen: Vec<(Vec<Value>, u16)> = Vec::new();
        for range in ranges {
            let Value::Array(range) = range else { continue };
            let mut range = range.into_iter();
            let (Some(Value::Int(first)), _, Some(Value::Array(primary))) =
                (range.next(), range.next(), range.next())
            else {
                continue;
            };
            let Ok(first) = u16::try_from(first) else { continue };
            if seen.iter().all(|(other, _)| other.get(..2) != primary.get(..2)) {
                seen.push((primary, first));
            }
        }
        Ok(seen.into_iter().map(|(_, slot)| Some(slot)).collect())
    }

    /// One step of a scan on one of the [`nodes`](Self::nodes).
    pub(super) async fn scan(
        &self,
        action: &str,
        node: Option<u16>,
        cursor: &[u8],
        pattern: &str,
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), StorageError> {
        let mut cmd = redis::cmd("SCAN");
        cmd.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(1000);
        let reply = match (&self.source, node) {
            (Source::Cluster(connection), Some(slot)) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                let mut connection = connection.clone();
                let reply: BoxFuture<'_, _> =
                    Box::pin(connection.route_command(cmd, RoutingInfo::SingleNode(route)));
                let reply = reply.await;
                reply.and_then(Value::extract_error).map_err(|cause| self.error(action, cause))?
            }
            _ => self.ask(action, Lane::Heads, true, cmd).await?,
        };
        let mut reply = array(reply).into_iter();
        match (reply.next(), reply.next()) {
            (Some(Value::BulkString(next)), Some(names)) => {
                Ok((next, array(names).into_iter().filter_map(bytes).collect()))
            }
            _ => Ok((b"0".to_vec(), Vec::new())),
        }
    }
}

async fn pipelined(mut to: ConnectionManager, calls: &Calls) -> RedisResult<Vec<RedisResult<Value>>> {
    let replies = to.req_packed_commands(calls.pipeline(), 0, calls.len()).await?;
    if replies.len() != calls.len() {
        return Err((ErrorKind::Parse, "the server sent another number of replies").into());
    }
    Ok(replies.into_iter().map(Value::extract_error).collect())
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
