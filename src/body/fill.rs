//! Storing one response while its body passes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::chunks::Chunks;
use super::filling::{Complete, Filling};
use super::pipe::{Outlet, Passed, pipe};
use super::retraction::{Retraction, Settling};
use crate::entry::{
    Alias, BodyEnd, BodySummary, EntryId, StoredBody, StoredHead, StoredRange, StoredResponse,
};
use crate::key::CacheKey;
use crate::policy::StorableTrailers;
use crate::storage::{Fence, Published, StorageError};
use crate::store::{Room, Store};
use crate::underway::{Leading, Mark};

/// How many bytes of a long body may wait for the store before the caller's side is asked to pause.
pub(super) const PIPE: usize = 256 * 1024;
/// A redirect's body up to this length is stored with its alias.
pub(crate) const ALIAS_BODY: u64 = 16 * 1024;

/// A response on its way to the store.
pub(crate) struct Fill {
    store: Store,
    head: StoredHead,
    fence: Fence,
    /// For a redirect: the key it leads to.
    target: Option<CacheKey>,
    counted: Counted,
    /// A body that is cut off after more than this many bytes is stored as a part.
    resumable: Option<u64>,
    trailers: StorableTrailers,
    then: Option<Then>,
    /// The requests that wait for this response.
    leading: Option<Leading>,
}

/// What follows once the response is stored. It says which other response was stored as a consequence.
type Then = Box<dyn FnOnce(Stored) -> Pin<Box<dyn Future<Output = Option<EntryId>> + Send>> + Send + Sync>;

/// How a response was stored.
pub(crate) struct Stored {
    /// It is a part: it was one from the beginning, or its body was cut off.
    pub(crate) is_part: bool,
    /// Requests for the key wait until this is dropped.
    pub(crate) mark: Mark,
}

/// What says how long a body must be to be complete.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// `Content-Length`, which frames the message as well (RFC 9112 section 6.3).
    Length,
    /// `Content-Range` alone. `until_close`: the message ends with the connection.
    Range { until_close: bool },
    /// The body itself, which no field contradicts.
    Hint,
}

/// What it means when a body ends well with fewer bytes than it must have.
#[derive(Clone, Copy, Debug)]
pub(super) enum EarlyEnd {
    /// The connection was lost: the bytes that arrived are correct.
    BrokenOff,
    /// The message is whole, so its announced length is wrong. Its first byte position may be wrong as well.
    Misstated,
}

impl Fill {
    /// `expected` is the length the body must have to be complete, where that is known.
    pub(crate) fn new(store: Store, mut head: StoredHead, fence: Fence, expected: Option<u64>) -> Self {
        head.body = expected.map(|len| BodySummary { len, checksum: 0 });
        let (target, counted, trailers) = (None, Counted::Length, StorableTrailers::default());
        let (resumable, then, leading) = (None, None, None);
        Self { store, head, fence, target, counted, resumable, trailers, then, leading }
    }

    /// Stores these trailer fields; without this, none.
    pub(crate) fn storing_trailers(mut self, trailers: StorableTrailers) -> Self {
        self.trailers = trailers;
        self
    }

    /// What says how long the body must be.
    pub(crate) fn counted(mut self, counted: Counted) -> Self {
        self.counted = counted;
        self
    }

    /// Makes it a redirect alias that leads to `target`.
    pub(crate) fn leading_to(mut self, target: Option<CacheKey>) -> Self {
        self.target = target;
        self
    }

    /// Stores a body that is cut off after more than `beyond` bytes as a part (RFC 9111 section 3.3).
    pub(crate) fn resumable(mut self, beyond: Option<u64>) -> Self {
        self.resumable = beyond;
        self
    }

    /// Does this once the response is stored. The future returns the id of what it stores in its turn.
    pub(crate) fn then<F>(mut self, then: impl FnOnce(Stored) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<EntryId>> + Send + 'static,
    {
        self.then = Some(Box::new(|stored| Box::pin(then(stored))));
        self
    }

    /// Makes other requests of the same kind wait until the body is complete.
    pub(crate) fn leading(mut self, leading: Option<Leading>) -> Self {
        self.leading = leading;
        self
    }

    /// Whether the response becomes a redirect alias, if its body is short.
    pub(crate) fn is_alias(&self) -> bool {
        self.target.is_some()
    }

    pub(crate) fn head(&self) -> &StoredHead {
        &self.head
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn expected(&self) -> Option<u64> {
        self.head.body.map(|body| body.len)
    }

    /// The body takes this, because it knows first when it ends.
    pub(super) fn take_leading(&mut self) -> Option<Leading> {
        self.leading.take()
    }

    pub(super) fn take_storable_trailers(&mut self) -> StorableTrailers {
        std::mem::take(&mut self.trailers)
    }

    pub(super) fn resumable_beyond(&self) -> Option<u64> {
        self.resumable
    }

    /// Which part it is if the body is cut off.
    pub(super) fn broken(&self) -> StoredRange {
        self.head.range.unwrap_or(StoredRange { first: 0, complete_len: self.expected() })
    }

    /// Whether the body is not complete with its last byte: trailer fields are to come, or only its end will show
    /// that it is not longer than announced.
    pub(super) fn awaits_end(&self) -> bool {
        self.head.headers.contains_key(http::header::TRAILER) || matches!(self.counted, Counted::Range { .. })
    }

    pub(super) fn early_end(&self) -> EarlyEnd {
        match self.counted {
            Counted::Length | Counted::Range { until_close: true } => EarlyEnd::BrokenOff,
            Counted::Hint | Counted::Range { until_close: false } => EarlyEnd::Misstated,
        }
    }

    /// Stores a response that has no body.
    pub(crate) fn store_empty(self) {
        let mut room = self.store.room();
        if !room.grow(0) {
            self.store.counters().count(|counters| &counters.crowded_out);
            return self.abandon();
        }
        self.store_whole(Vec::new(), BodyEnd::default(), room);
    }

    /// Stores a response whose whole body is in memory, without making the caller wait. The body holds its room until it
    /// is stored.
    pub(super) fn store_whole(mut self, body: Vec<Bytes>, end: BodyEnd, room: Room) -> Retraction {
        let (retraction, settling) = self.retraction();
        let mark = self.store.mark(&self.head.key);
        // From here on requests wait for the mark.
        drop(self.take_leading());
        let stored = Stored { is_part: self.is_part(&end), mark };
        let (store, then) = (self.store.clone(), self.then.take());
        store.clone().run_or_spawn(async move {
            let turn = store.turn().await;
            let len = body.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
            let result = match self.target.clone() {
                Some(target) if len <= ALIAS_BODY => self.put_alias(target, &body, end).await,
                _ => self.put_response(body, end).await,
            };
            drop((turn, room));
            conclude(&store, &result, then, stored, settling).await;
        });
        retraction
    }

    fn is_part(&self, end: &BodyEnd) -> bool {
        self.head.range.is_some() || end.range.is_some()
    }

    fn retraction(&self) -> (Retraction, Settling) {
        Retraction::new(self.store.clone(), self.head.key.clone(), self.head.id)
    }

    /// Begins to store a body that is too long to be held in memory until it is complete.
    pub(super) fn start(self, body: Chunks, room: Room) -> Filling {
        let (inlet, outlet) = pipe(PIPE, body, room);
        let (retraction, settling) = self.retraction();
        let place = (self.store.clone(), self.head.key.clone());
        Filling::new(place, inlet, retraction, self.write(outlet, settling))
    }

    /// Gives up before anything was written.
    pub(super) fn abandon(self) {
        self.store.not_filled();
    }

    async fn put_response(self, body: Vec<Bytes>, end: BodyEnd) -> Result<Published, StorageError> {
        let Self { store, head, fence, .. } = self;
        let mut writer = store.begin(head, fence).await?;
        for chunk in body {
            store.write(&mut writer, chunk).await?;
        }
        store.publish(writer, end).await
    }

    async fn put_alias(
        self,
        target: CacheKey,
        body: &[Bytes],
        end: BodyEnd,
    ) -> Result<Published, StorageError> {
        let Self { store, mut head, fence, .. } = self;
        let body = Bytes::from(body.concat());
        head.finish(BodySummary::of(&body), end);
        let response =
            StoredResponse { head: Arc::new(head), body: StoredBody::Inline(body), invalidated: false };
        store.put_alias(Alias { response, target }, fence).await
    }

    /// Writes what comes through the pipe.
    async fn write(mut self, mut outlet: Outlet<Complete>, settling: Settling) {
        let (store, then) = (self.store.clone(), self.then.take());
        let was_part = self.head.range.is_some();
        let mut stored = None;
        let result = async {
            let mut writer = store.begin(self.head, self.fence).await?;
            loop {
                match outlet.next().await {
                    Passed::Data(data) => store.write(&mut writer, data).await?,
                    Passed::Complete(Complete { end, mark }) => {
                        stored = Some(Stored { is_part: was_part || end.range.is_some(), mark });
                        let mut publishing = Box::pin(store.publish(writer, end));
                        let asked = poll_fn(|cx| Poll::Ready(publishing.as_mut().poll(cx))).await;
                        // The caller waits for no more than that.
                        outlet.close();
                        return match asked {
                            Poll::Ready(published) => published.map(Some),
                            Poll::Pending => publishing.await.map(Some),
                        };
                    }
                    // Counted where it was given up.
                    Passed::Aborted => {
                        writer.abort().await;
                        return Ok(None);
                    }
                }
            }
        }
        .await;
        match (result.transpose(), stored) {
            (Some(result), Some(stored)) => {
                drop(outlet);
                conclude(&store, &result, then, stored, settling).await;
            }
            // While the storage was busy the body may have been given up, and counted.
            (Some(_), None) if outlet.close() => store.not_filled(),
            _ => {}
        }
    }
}

/// The end of a response that was to be stored, after which requests for its key wait no longer.
async fn conclude(
    store: &Store,
    result: &Result<Published, StorageError>,
    then: Option<Then>,
    stored: Stored,
    settling: Settling,
) {
    // First, so that the counters know when the mark goes.
    store.filled(result);
    let consequence = match (result, then) {
        (Ok(Published::Stored), Some(then)) => then(stored).await,
        _ => None,
    };
    let _ = settling.send(consequence);
}
