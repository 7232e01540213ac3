//! Invalidated groups: one document for each slot, with the number of its last invalidation.

use std::collections::HashMap;

use mongodb::bson::{Document, RawDocument, doc, serialize_to_bson};

use super::error::{DUPLICATE_KEY, kind_of_code};
use super::layout::{INVALIDATIONS, kind, number};
use super::store::Store;
use crate::entry::{GroupId, StoredHead, StoredResponse};
use crate::storage::{StorageError, StorageErrorKind};

/// Groups in the same slot are invalidated together, which costs a validation now and then.
const SLOTS: u32 = 1 << 16;
/// Slots written in one round trip.
const BATCH: usize = 500;
/// Of two writers that insert the same slot at once, the unique index refuses one, which tries again.
const TURNS: usize = 20;
/// The `variant` of a slot.
const VARIANT: &str = "";

/// Numbers of slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Groups whose slots were read. A slot without a document was never invalidated.
    pub(super) asked: Vec<GroupId>,
    numbers: HashMap<String, i64>,
}

/// The `key` of a slot's document.
pub(super) fn slot_key(group: GroupId) -> String {
    format!("slot/{:04x}", group.slot(SLOTS))
}

impl Slots {
    /// Reads a slot's document. Without a number it counts as just invalidated.
    pub(super) fn read(&mut self, found: &RawDocument) {
        if let Ok(key) = found.get_str("key") {
            self.numbers.insert(key.to_owned(), found.get_i64("number").unwrap_or(i64::MAX));
        }
    }

    fn cover(&self, head: &StoredHead) -> bool {
        let as_of = number(head.as_of);
        head.group_ids().any(|group| self.numbers.get(&slot_key(group)).is_some_and(|number| *number > as_of))
    }
}

impl Store {
    /// Marks invalidated responses. Slots are read only where something was invalidated since a response was stored, and
    /// only those that were not read yet: most hits cost one round trip.
    pub(super) async fn mark_invalidated(
        &self,
        doing: &str,
        found: Vec<&mut StoredResponse>,
        count: u64,
        mut slots: Slots,
    ) -> Result<(), StorageError> {
        // A head with a higher number is from a count that was lost: what was invalidated since then is not known.
        let (lost, found): (Vec<_>, Vec<_>) = found
            .into_iter()
            .filter(|found| found.head.as_of != count)
            .partition(|found| found.head.as_of > count);
        for response in lost {
            response.invalidated = true;
        }
        let mut missing: Vec<_> = found.iter().flat_map(|found| found.head.group_ids()).collect();
        missing.retain(|group| !slots.asked.contains(group));
        if !missing.is_empty() {
            let keys: Vec<_> = missing.into_iter().map(slot_key).collect();
            let reading = async {
                let mut cursor = self.heads.find(doc! { "key": { "$in": keys } }).await?;
                while cursor.advance().await? {
                    slots.read(cursor.current());
                }
                Ok(())
            };
            self.call(doing, reading).await?;
        }
        for response in found {
            response.invalidated = slots.cover(&response.head);
        }
        Ok(())
    }

    /// Counts an invalidation, and writes its number into the groups' slots, many in one round trip.
    pub(super) async fn invalidate(&self, groups: &[GroupId]) -> Result<(), StorageError> {
        if groups.is_empty() {
            return Ok(());
        }
        let doing = "invalidating";
        let number = self.tick(doing, INVALIDATIONS, &[]).await?;
        let mut keys: Vec<_> = groups.iter().map(|group| slot_key(*group)).collect();
        keys.sort_unstable();
        keys.dedup();
        for batch in keys.chunks(BATCH) {
            self.number_slots(doing, batch.to_vec(), number).await?;
        }
        Ok(())
    }

    async fn number_slots(
        &self,
        doing: &str,
        mut keys: Vec<String>,
        number: i64,
    ) -> Result<(), StorageError> {
        for _ in 0..TURNS {
            let updates: Vec<_> = keys
                .iter()
                .map(|key| {
                    doc! {
                        "q": { "key": key, "variant": VARIANT },
                        // A later invalidation may have been written already.
                        "u": { "$max": { "number": number }, "$setOnInsert": { "kind": kind::SLOT } },
                        "upsert": true,
                    }
                })
                .collect();
            let mut command = doc! { "update": self.heads.name(), "updates": updates, "ordered": false };
            if let Some(concern) =
                self.heads.write_concern().and_then(|concern| serialize_to_bson(concern).ok())
            {
                command.insert("writeConcern", concern);
            }
            let reply = self.call(doing, self.database.run_command(command)).await?;
            let refused = refused(&reply);
            let failure = refused.iter().find(|refused| refused.code != DUPLICATE_KEY);
            if let Some((code, message)) =
                failure.map(|refused| (refused.code, refused.message.clone())).or_else(|| unconfirmed(&reply))
            {
                return Err(self.error(kind_of_code(code), format!("{doing}: {message}")));
            }
            if refused.is_empty() {
                return Ok(());
            }
            keys = refused.iter().filter_map(|refused| keys.get(refused.index).cloned()).collect();
        }
        Err(self.error(StorageErrorKind::Unavailable, format!("{doing}: too many writers at once")))
    }
}

/// An update that the server refused.
struct Refused {
    index: usize,
    code: i32,
    message: String,
}

fn refused(reply: &Document) -> Vec<Refused> {
    let errors = reply.get_array("writeErrors").into_iter().flatten();
    errors
        .filter_map(|error| {
            let error = error.as_document()?;
            let index = usize::try_from(error.get_i32("index").ok()?).ok()?;
            let (code, message) = code_and_message(error);
            Some(Refused { index, code, message })
        })
        .collect()
}

/// The error when fewer members than asked for confirmed the write.
fn unconfirmed(reply: &Document) -> Option<(i32, String)> {
    reply.get_document("writeConcernError").ok().map(code_and_message)
}

fn code_and_message(error: &Document) -> (i32, String) {
    let message = error.get_str("errmsg").unwrap_or_default().to_owned();
    (error.get_i32("code").unwrap_or_default(), message)
}
