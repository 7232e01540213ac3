//! `SCAN` over all servers that hold data.

use futures_util::future::BoxFuture;
use redis::Value;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};

use super::link::{Link, Servers, array, bytes};
use super::managers::Lane;
use crate::storage::StorageError;

impl Link {
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
        let reply = match (&self.servers, node) {
            (Servers::Cluster(connection), Some(slot)) => {
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
