//! Removal of one key or entry, and clearing.

use redis::Value;

use super::call::Call;
use super::chunks::End;
use super::layout::Meta;
use super::link::{array, bytes};
use super::managers::Lane;
use super::marks::Marks;
use super::{Shared, scripts};
use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::random;
use crate::storage::{Keyspace, StorageError};

impl Shared {
    pub(super) async fn remove(&self, key: &CacheKey) -> Result<bool, StorageError> {
        let record = self.names.record(key);
        let window = self.options.window_millis();
        let fence = format!("{:016x}", random::bits64());
        let script =
            Call::script(&scripts::REMOVE, &[&record], &[fence.as_bytes(), window.to_string().as_bytes()]);
        self.removed(&record, "removing", script).await
    }

    pub(super) async fn remove_entry(&self, record: &str, id: EntryId) -> Result<bool, StorageError> {
        let script = Call::script(
            &scripts::REMOVE_ENTRY,
            &[record],
            &[
                id.to_string().as_bytes(),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
            ],
        );
        self.removed(record, "removing an entry", script).await
    }

    /// Runs a script that returns metas of what it removed, and says whether any of that could be seen.
    async fn removed(&self, record: &str, action: &str, script: Call) -> Result<bool, StorageError> {
        let mut replies = self
            .ask_all(action, Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let metas: Vec<_> = match replies.next() {
            Some(one @ Value::BulkString(_)) => vec![one],
            Some(several) => array(several),
            None => Vec::new(),
        };
        let gone: Vec<_> =
            metas.into_iter().filter_map(bytes).filter_map(|meta| Meta::decode(&meta)).collect();
        let marks = Marks::from_reply(&replies.next().unwrap_or(Value::Nil), &self.names)?;
        let seen = marks.is_some_and(|marks| {
            gone.iter().any(|meta| meta.generation == marks.responses || meta.generation == marks.aliases)
        });
        self.end_chunks(record, gone, End::Now).await;
        Ok(seen)
    }

    /// New generations make everything before invisible at once; what they hid is then removed.
    pub(super) async fn clear(&self, keyspace: Option<Keyspace>) -> Result<(), StorageError> {
        let action = "clearing";
        self.marks_made(action).await?;
        let draw = || format!("{:016x}", random::bits64());
        let (responses, aliases) = (draw(), draw());
        let mut changes: Vec<&[u8]> = Vec::new();
        if keyspace != Some(Keyspace::Aliases) {
            changes.extend([b"r", responses.as_bytes()]);
        }
        if keyspace != Some(Keyspace::Responses) {
            changes.extend([b"a", aliases.as_bytes()]);
        }
        let call = Call::script(&scripts::CLEAR, &[&self.names.marks()], &changes);
        self.ask(action, Lane::Heads, false, call).await?;
        // An earlier listing knows records that are gone.
        self.sweep(action, None).await?;
        Ok(())
    }
}
