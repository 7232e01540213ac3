//! Publication of responses and aliases, and freshening.

use std::sync::Arc;

use redis::Value;

use super::call::Call;
use super::error::error;
use super::fence::Permit;
use super::layout::{ALIAS, Meta, measured};
use super::link::bytes;
use super::managers::Lane;
use super::marks::Marks;
use super::{Shared, scripts};
use crate::entry::{Alias, EntryId, StoredHead, codec};
use crate::storage::{Fence, Published, StorageError, StorageErrorKind};

impl Shared {
    pub(super) async fn publish(
        &self,
        record: &str,
        permit: &Permit,
        id: EntryId,
        value: &[u8],
    ) -> Result<Option<Vec<Meta>>, StorageError> {
        let script = Call::script(
            &scripts::PUBLISH,
            &[record],
            &[
                &permit.fence,
                &permit.token,
                value,
                self.options.max_variants.to_string().as_bytes(),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
            ],
        );
        let mut replies = self
            .ask_all("publishing", Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let displaced = match replies.next() {
            Some(Value::Array(metas)) => metas,
            _ => return Ok(None),
        };
        if !self.still_in(permit, replies.next(), |marks| marks.responses)? {
            // It is invisible and only takes room.
            self.remove_entry(record, id).await?;
            return Ok(None);
        }
        Ok(Some(displaced.into_iter().filter_map(bytes).filter_map(|meta| Meta::decode(&meta)).collect()))
    }

    pub(super) async fn freshen(&self, head: StoredHead) -> Result<bool, StorageError> {
        if head.body.is_none() {
            return Err(error(
                StorageErrorKind::Invalid,
                "freshening with a head that does not know its body",
            ));
        }
        let record = self.names.record(&head.key);
        let encoded = codec::encode(&head);
        if encoded.len() > codec::MAX_HEAD_LEN {
            return Err(error(StorageErrorKind::TooLarge, "storing a head over the limit"));
        }
        let meta = Meta::new(0, &head, encoded.len(), 0);
        let script = Call::script(
            &scripts::FRESHEN,
            &[&record],
            &[
                head.id.to_string().as_bytes(),
                meta.middle().as_bytes(),
                meta.tail().as_bytes(),
                &measured(&encoded),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
            ],
        );
        let mut replies = self
            .ask_all("freshening", Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let before = replies.next().and_then(bytes).and_then(|meta| Meta::decode(&meta));
        let marks = Marks::from_reply(&replies.next().unwrap_or(Value::Nil), &self.names)?;
        let Some((before, marks)) = before.zip(marks) else { return Ok(false) };
        if before.generation != marks.responses {
            return Ok(false);
        }
        if before.usable_until != meta.usable_until {
            self.keep_chunks(&record, head.id, before.chunks, meta.usable_until).await?;
        }
        Ok(true)
    }

    pub(super) async fn publish_alias(
        &self,
        mut alias: Alias,
        fence: Fence,
    ) -> Result<Published, StorageError> {
        let record = self.names.record(&alias.response.head.key);
        let Some(permit) = self.permit(&record, fence).await? else { return Ok(Published::Superseded) };
        let as_of = permit.as_of(&alias.response.head);
        Arc::make_mut(&mut alias.response.head).as_of = as_of;
        let Some(value) = codec::encode_alias(&alias) else {
            return Err(error(StorageErrorKind::Invalid, "storing an alias whose body did not come with it"));
        };
        let meta = Meta::new(permit.marks.aliases, &alias.response.head, value.len(), 0);
        let script = Call::script(
            &scripts::PUT_ALIAS,
            &[&record],
            &[
                &permit.fence,
                &permit.token,
                &[meta.encode().as_bytes(), &value].concat(),
                self.options.margin().to_string().as_bytes(),
                self.options.window_millis().to_string().as_bytes(),
                ALIAS.as_bytes(),
            ],
        );
        let mut replies = self
            .ask_all("storing an alias", Lane::Heads, false, [script, Marks::read(&self.names)].into())
            .await?
            .into_iter();
        let stored = matches!(replies.next(), Some(Value::Int(1)))
            && self.still_in(&permit, replies.next(), |marks| marks.aliases)?;
        Ok(if stored { Published::Stored } else { Published::Superseded })
    }
}
