//! What keeps a fill from undoing a removal.
//!
//! Each removal of a key puts a new random *epoch* into the key's `fence` item; each clearing puts a new random
//! *generation* into the [`SHARDS`](layout::SHARDS) generation items of the namespace. A [`Fence`] is the pair as it
//! stood at the lookup, and a publication's transaction checks both. The epoch comes with the lookup. The
//! generations do not: a handle remembers them, and learns of another handle's clearing when it is refused. That
//! refuses a fill too many, and never one too few.

use std::sync::atomic::{AtomicU32, Ordering};

use super::layout::{self, EPOCH, EXPIRES, FENCE, FENCE_SK, GENERATION, Item, KIND, ONLY_SK};
use super::{Shared, calls};
use crate::clock::{Clock, SystemClock};
use crate::random;
use crate::storage::{Fence, StorageError};

/// How long a removal is remembered where the server deletes it by its own clock: a fill takes a day at most, and between
/// the clock that says when and the server's may be six days more. A clock that is further off refuses nothing but a
/// fill that had seen an earlier removal. [`maintain`](crate::storage::Storage::maintain) forgets removals by whatever
/// clock its caller has, and starts a new generation first: no fill from before is let in then, whatever the time.
const REMEMBERED: i64 = 7 * 24 * 3600;

/// The generations as this handle knows them; 0 stands for a namespace that was never cleared.
#[derive(Debug, Default)]
pub(super) struct Generations([AtomicU32; layout::SHARDS]);

impl Generations {
    pub(super) fn get(&self, shard: usize) -> u32 {
        self.0.get(shard).map_or(0, |generation| generation.load(Ordering::Acquire))
    }

    fn set(&self, shard: usize, to: u32) {
        if let Some(generation) = self.0.get(shard) {
            generation.store(to, Ordering::Release);
        }
    }
}

/// Both halves of a fence.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) generation: u32,
    pub(super) epoch: u32,
}

impl From<Fence> for Moment {
    fn from(Fence(bits): Fence) -> Self {
        Self { generation: (bits >> 32) as u32, epoch: bits as u32 }
    }
}

impl From<Moment> for Fence {
    fn from(moment: Moment) -> Self {
        Self(u64::from(moment.generation) << 32 | u64::from(moment.epoch))
    }
}

/// Never 0, which stands for none.
fn fresh() -> u32 {
    random::nonzero32()
}

impl Shared {
    pub(super) fn generation_key(&self, shard: usize) -> Item {
        layout::key_of(self.keys.generation(shard), ONLY_SK)
    }

    /// Takes over what these items say; a shard without an item was never cleared.
    pub(super) fn remember_generations(&self, found: &[Item]) {
        for shard in 0..layout::SHARDS {
            let pk = self.keys.generation(shard);
            let item = found.iter().find(|item| layout::get_text(item, layout::PK) == Some(&pk));
            let generation = item.and_then(|item| layout::get_number(item, GENERATION));
            self.generations.set(shard, generation.unwrap_or(0));
        }
    }

    /// Asks for the generations anew, after a refusal that may have come from one.
    pub(super) async fn refresh_generations(&self) -> Result<(), StorageError> {
        let keys = (0..layout::SHARDS).map(|shard| self.generation_key(shard));
        let found = self.get_all("reading the generations", keys.chain([self.count_key()]).collect()).await?;
        self.remember_generations(&found);
        self.remember_count(&found);
        Ok(())
    }

    /// Refuses every fill from before now. Gives the new generation.
    pub(super) async fn new_generation(&self) -> Result<u32, StorageError> {
        let generation = fresh();
        let items = (0..layout::SHARDS).map(|shard| {
            let mut item = self.generation_key(shard);
            item.insert(KIND.to_owned(), layout::text("generation"));
            item.insert(GENERATION.to_owned(), layout::number(generation));
            calls::put_of(item)
        });
        self.write_all("fencing off fills", items.collect::<Result<_, _>>()?).await?;
        for shard in 0..layout::SHARDS {
            self.generations.set(shard, generation);
        }
        Ok(generation)
    }

    /// Refuses every fill of one key from before now.
    pub(super) async fn new_epoch(&self, pk: &str) -> Result<(), StorageError> {
        let mut item = layout::key_of(pk, FENCE_SK);
        item.insert(KIND.to_owned(), layout::text(FENCE));
        item.insert(EPOCH.to_owned(), layout::number(fresh()));
        let expires = SystemClock.now().as_secs().saturating_add(REMEMBERED);
        item.insert(EXPIRES.to_owned(), layout::number(expires));
        let put = self.client.put_item().table_name(&self.options.table).set_item(Some(item));
        put.send().await.map_err(self.failed("fencing off fills"))?;
        Ok(())
    }
}
