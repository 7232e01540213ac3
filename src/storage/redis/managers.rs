//! The connections to one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ErrorKind, RedisResult, Value};

use super::call::Calls;

/// Which connection a call goes over: a small reply must not wait behind megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Heads,
    Bodies,
}

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

    pub(super) fn new(
        client: &Client,
        config: &ConnectionManagerConfig,
        connections: usize,
    ) -> RedisResult<Self> {
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

    pub(super) fn heard(&self) -> usize {
        self.0.heard.load(Ordering::Relaxed)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Sends all calls at once.
    pub(super) async fn send(&self, lane: Lane, calls: &Calls) -> RedisResult<Vec<RedisResult<Value>>> {
        let replies = self.on(lane).req_packed_commands(calls.pipeline(), 0, calls.len()).await?;
        if replies.len() != calls.len() {
            return Err((ErrorKind::Parse, "the server sent another number of replies").into());
        }
        self.0.heard.fetch_add(1, Ordering::Relaxed);
        Ok(replies.into_iter().map(Value::extract_error).collect())
    }
}
