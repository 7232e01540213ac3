//! Bodies in chunks: each a value of its own, its checksum before its bytes.
//!
//! Chunks are written with an expiry just beyond the fill window and get that of their head once it is published, so
//! that nothing of a dead writer stays.

use redis::Value;

use super::Shared;
use super::call::Calls;
use super::layout::{FOREVER, Meta, Names};
use super::managers::Lane;
use crate::entry::EntryId;
use crate::storage::StorageError;

/// Commands in one pipeline.
const BATCH: u64 = 512;
/// How long readers of a replaced body may go on.
const GRACE_SECONDS: u64 = 60;

/// What becomes of chunks whose head is gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Now,
    /// Their readers may finish.
    Soon,
}

/// Whether one of these commands found what it is about.
fn any_found(replies: &[Value]) -> bool {
    replies.iter().any(|reply| matches!(reply, Value::Int(found) if *found > 0))
}

impl Shared {
    /// Lets go of the chunks of these bodies. What cannot be removed now is left to maintenance, and so is what stands
    /// behind many that are gone: how many there are is not believed, as somebody else may have written it.
    pub(super) async fn end_chunks(&self, record: &str, bodies: impl IntoIterator<Item = Meta>, end: End) {
        for meta in bodies {
            for first in (0..meta.chunks).step_by(BATCH as usize) {
                let names = (first..meta.chunks.min(first + BATCH))
                    .map(|number| Names::chunk(record, meta.id, number));
                let calls: Calls = match end {
                    End::Now => {
                        let mut cmd = redis::cmd("UNLINK");
                        cmd.arg(names.collect::<Vec<_>>());
                        [cmd].into()
                    }
                    End::Soon => names
                        .map(|name| {
                            let mut cmd = redis::cmd("EXPIRE");
                            cmd.arg(name).arg(GRACE_SECONDS);
                            cmd
                        })
                        .collect(),
                };
                match self.ask_all("removing a body", Lane::Bodies, false, calls).await {
                    Ok(replies) if any_found(&replies) => {}
                    Ok(_) => break,
                    Err(_) => return,
                }
            }
        }
    }

    /// Gives a body's chunks the expiry of their head.
    pub(super) async fn keep_chunks(
        &self,
        record: &str,
        id: EntryId,
        chunks: u64,
        usable_until: i64,
    ) -> Result<(), StorageError> {
        let margin = self.options.margin();
        for first in (0..chunks).step_by(BATCH as usize) {
            let calls: Calls = (first..chunks.min(first + BATCH))
                .map(|number| {
                    let name = Names::chunk(record, id, number);
                    if margin < 0 || usable_until >= FOREVER {
                        let mut cmd = redis::cmd("PERSIST");
                        cmd.arg(name);
                        return cmd;
                    }
                    let mut cmd = redis::cmd("PEXPIREAT");
                    cmd.arg(name).arg(usable_until.saturating_add(margin));
                    cmd
                })
                .collect();
            let replies = self.ask_all("keeping a body", Lane::Bodies, false, calls).await?;
            // Here too the count is not believed: where nothing is, nothing follows.
            if !any_found(&replies) {
                break;
            }
        }
        Ok(())
    }
}
