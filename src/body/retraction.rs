//! Removing a response again that has just been stored.

use tokio::sync::oneshot;

use crate::entry::EntryId;
use crate::key::CacheKey;
use crate::store::Store;

/// Removes a response whose body went on after its announced end.
#[derive(Debug)]
pub(crate) struct Retraction {
    store: Store,
    key: CacheKey,
    id: EntryId,
    settled: oneshot::Receiver<Option<EntryId>>,
}

/// Sends the id of the response that was stored as a consequence, once storing is over. Dropped if nothing was stored.
pub(super) type Settling = oneshot::Sender<Option<EntryId>>;

impl Retraction {
    pub(super) fn new(store: Store, key: CacheKey, id: EntryId) -> (Self, Settling) {
        let (settling, settled) = oneshot::channel();
        (Self { store, key, id, settled }, settling)
    }

    /// Waits until storing is over.
    pub(super) async fn settled(&mut self) {
        let _ = (&mut self.settled).await;
    }

    /// From now on, requests for the key wait until the response is removed.
    pub(super) fn retract(self) {
        let Self { store, key, id, settled } = self;
        let mark = store.mark(&key);
        store.clone().run_or_spawn(async move {
            let consequence = settled.await.ok().flatten();
            store.remove_entries(&key, [id].into_iter().chain(consequence)).await;
            drop(mark);
        });
    }
}
