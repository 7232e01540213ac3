//! What is stored under a key, without the bodies: for replacing, freshening and removing.

use super::Shared;
use super::calls::Range;
use super::layout::{self, ALIAS_SK, CHUNKS, CHUNKS_EXPIRE, CHUNKS_SK, ID, Item, KIND, PUBLISHED, SK};
use crate::entry::EntryId;
use crate::storage::StorageError;

/// A response or alias in the table.
#[derive(Clone, Debug)]
pub(super) struct HeadRef {
    pub(super) sk: String,
    /// `None` if this crate did not write the item.
    pub(super) id: Option<EntryId>,
    pub(super) chunks: u32,
    pub(super) chunks_expire: Option<i64>,
    pub(super) published: u64,
    pub(super) variant: Option<String>,
}

/// The attributes a [`HeadRef`] is made of.
pub(super) const REF: [&str; 7] = [SK, KIND, ID, CHUNKS, CHUNKS_EXPIRE, PUBLISHED, "variant"];

impl HeadRef {
    /// `None` for a fence, or for what nobody knows.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let sk = layout::get_text(item, SK)?;
        if !layout::is_alias(sk) && !layout::is_head(sk) {
            return None;
        }
        Some(Self {
            sk: sk.to_owned(),
            id: layout::get_id(item),
            chunks: layout::get_number(item, CHUNKS).unwrap_or(0),
            chunks_expire: layout::get_number(item, CHUNKS_EXPIRE),
            published: layout::get_number(item, PUBLISHED).unwrap_or(0),
            variant: layout::get_text(item, "variant").map(ToOwned::to_owned),
        })
    }

    pub(super) fn is_response(&self) -> bool {
        layout::is_head(&self.sk)
    }

    /// The keys of the chunks of its body.
    pub(super) fn chunk_keys<'a>(&'a self, pk: &'a str) -> impl Iterator<Item = Item> + 'a {
        let id = self.id;
        (0..self.chunks).filter_map(move |index| Some(layout::key_of(pk, layout::chunk_sk(id?, index))))
    }
}

impl Shared {
    /// All responses and the alias of a partition. Always strongly consistent.
    pub(super) async fn heads(&self, pk: &str) -> Result<Vec<HeadRef>, StorageError> {
        let range =
            Range { pk, from: ALIAS_SK, to: CHUNKS_SK, only: &REF, consistent: true, ..Range::default() };
        let items = self.query("reading what is stored under a key", range).await?;
        Ok(items.iter().filter_map(HeadRef::of).collect())
    }
}
