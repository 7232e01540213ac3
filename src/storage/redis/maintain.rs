//! Maintenance: removes unusable entries, and chunks that no head names.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::Value;

use super::call::{Call, Calls};
use super::chunks::End;
use super::layout::{Meta, Names, millis};
use super::link::{array, bytes};
use super::list::RECORDS;
use super::managers::Lane;
use super::{Shared, scripts};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::entry::EntryId;
use crate::storage::{Maintained, StorageError};

impl Shared {
    pub(super) async fn maintain(&self, now: Timestamp) -> Result<Maintained, StorageError> {
        let expired = self.sweep("maintaining", Some(now)).await?;
        let orphans = self.sweep_chunks(now).await?;
        Ok(Maintained::new(expired, orphans))
    }

    /// Removes entries of another generation, and entries that are not usable at `now`. Returns the count of the latter.
    pub(super) async fn sweep(&self, action: &str, now: Option<Timestamp>) -> Result<u64, StorageError> {
        let Some(marks) = self.marks(action).await? else { return Ok(0) };
        let now = now.map_or(-1, millis).to_string();
        let (responses, aliases) = (format!("{:016x}", marks.responses), format!("{:016x}", marks.aliases));
        let (margin, window) = (self.options.margin().to_string(), self.options.window_millis().to_string());
        let mut expired = 0;
        let pattern = self.names.records();
        for node in self.link.nodes(action).await? {
            let mut cursor = b"0".to_vec();
            loop {
                let (next, names) = self.link.scan(action, node, &cursor, &pattern).await?;
                let names: Vec<_> =
                    names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect();
                for part in names.chunks(RECORDS) {
                    let arguments = [&responses, &aliases, &now, &margin, &window].map(String::as_bytes);
                    let calls: Calls =
                        part.iter().map(|name| Call::script(&scripts::SWEEP, &[name], &arguments)).collect();
                    let replies = self.ask_all(action, Lane::Bodies, false, calls).await?;
                    for (record, reply) in part.iter().zip(replies) {
                        let gone: Vec<_> = array(reply)
                            .into_iter()
                            .filter_map(bytes)
                            .filter_map(|meta| Meta::decode(&meta))
                            .collect();
                        let present = [marks.responses, marks.aliases];
                        expired +=
                            gone.iter().filter(|meta| present.contains(&meta.generation)).count() as u64;
                        self.end_chunks(record, gone, End::Now).await;
                    }
                }
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(expired)
    }

    /// Removes chunks that no head names, unless a writer may still be at work on them.
    async fn sweep_chunks(&self, now: Timestamp) -> Result<u64, StorageError> {
        let action = "maintaining";
        // Between two readings of one machine's clock; what is left to a chunk is told by the server.
        let ahead = millis(now).saturating_sub(millis(SystemClock.now()));
        // Chunks of a writer at work expire within this time.
        let at_work = self.options.fill_window + Duration::from_secs(120);
        let at_work = i64::try_from(at_work.as_millis()).unwrap_or(i64::MAX);
        let pattern = self.names.chunks();
        let mut orphans = 0;
        for node in self.link.nodes(action).await? {
            let mut cursor = b"0".to_vec();
            loop {
                let (next, names) = self.link.scan(action, node, &cursor, &pattern).await?;
                for part in names.chunks(512) {
                    let times: Calls = part.iter().map(|name| command("PTTL", name)).collect();
                    let times = self.ask_all(action, Lane::Bodies, true, times).await?;
                    let dead: Vec<_> = part
                        .iter()
                        .zip(times)
                        .filter(|(_, left)| match left {
                            Value::Int(-1) => true,
                            Value::Int(left) => *left > at_work || (*left >= 0 && *left <= ahead),
                            _ => false,
                        })
                        .map(|(name, _)| name)
                        .collect();
                    orphans += self.remove_unnamed(action, &dead).await?;
                }
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(orphans)
    }

    async fn remove_unnamed(&self, action: &str, chunks: &[&Vec<u8>]) -> Result<u64, StorageError> {
        let mut bodies: HashMap<String, Vec<(EntryId, &[u8])>> = HashMap::new();
        for name in chunks {
            if let Some((record, id)) = Names::of_chunk(name) {
                bodies.entry(record).or_default().push((id, name));
            }
        }
        let mut removed = 0;
        for (record, chunks) in bodies {
            let Some(digest) = self.names.digest(record.as_bytes()) else { continue };
            let named: HashSet<EntryId> = match self.metas_of(action, &[digest]).await?.pop() {
                Some(metas) => metas.responses.iter().map(|meta| meta.id).collect(),
                None => HashSet::new(),
            };
            let calls: Calls = chunks
                .iter()
                .filter(|(id, _)| !named.contains(id))
                .map(|(_, name)| command("UNLINK", name))
                .collect();
            for reply in self.ask_all(action, Lane::Bodies, false, calls).await? {
                removed += u64::from(matches!(reply, Value::Int(1)));
            }
        }
        Ok(removed)
    }
}

fn command(name: &str, key: &[u8]) -> redis::Cmd {
    let mut cmd = redis::cmd(name);
    cmd.arg(key);
    cmd
}
