//! Storing one response while its body passes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use sync_wrapper::SyncWrapper;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::chunks::Chunks;
use super::combined::Join;
use super::pipe::{Inlet, Outlet, Passed, pipe};
use crate::entry::{
    Alias, BodyEnd, BodySummary, EntryId, StoredBody, StoredHead, StoredRange, StoredResponse,
};
use crate::key::CacheKey;
use crate::policy::StorableTrailers;
use crate::storage::{Fence, Published, StorageError};
use crate::store::{Room, Store, spawn};
use crate::underway::{Leading, Mark};

/// So many bytes of a long body may wait for the store before the caller's side is asked to pause.
pub(super) const PIPE: usize = 256 * 1024;
/// A redirect's body up to this length is stored with its alias.
pub(crate) const ALIAS_BODY: u64 = 16 * 1024;

/// One response on its way into the store.
pub(crate) struct Fill {
    store: Store,
    head: StoredHead,
    fence: Fence,
    /// For a redirect: the key it leads to.
    target: Option<CacheKey>,
    /// Stored under the same key, and out of date once this response is published.
    replaces: Vec<EntryId>,
    /// Parts that are of no use once this response is stored whole.
    outgrows: Vec<EntryId>,
    counted: Counted,
    /// Of a body that breaks off, more than so many bytes are kept as a part.
    resumable: Option<u64>,
    /// Puts what is stored as a part together with others, under this id.
    join: Option<(Arc<dyn Join>, EntryId)>,
    /// Those who wait for this response.
    leading: Option<Leading>,
    trailers: StorableTrailers,
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
    /// The connection went away: the bytes that came are what they should be.
    BrokenOff,
    /// The message is whole, so what was said of it is wrong, and may be wrong about its first byte as well.
    Misstated,
}

/// The last word to the storing task: all of the body has been handed over.
pub(super) struct Complete {
    end: BodyEnd,
    mark: Mark,
}

impl Fill {
    /// `expected` is the length the body must have to be complete, where that is known.
    pub(crate) fn new(store: Store, mut head: StoredHead, fence: Fence, expected: Option<u64>) -> Self {
        head.body = expected.map(|len| BodySummary { len, checksum: 0 });
        let (replaces, outgrows) = (Vec::new(), Vec::new());
        let (counted, target) = (Counted::Length, None);
        let (resumable, join, leading) = (None, None, None);
        let trailers = StorableTrailers::default();
        Self { store, head, fence, target, replaces, outgrows, counted, resumable, join, leading, trailers }
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

    /// Should the body break off after more than `beyond` bytes, keeps what arrived as a part (RFC 9111 section 3.3).
    pub(crate) fn resumable(mut self, beyond: Option<u64>) -> Self {
        self.resumable = beyond;
        self
    }

    /// Removes these parts when the new response is stored whole.
    pub(crate) fn outgrowing(mut self, parts: Vec<EntryId>) -> Self {
        self.outgrows = parts;
        self
    }

    /// Joins what is stored with the parts beside it, should it be a part itself.
    pub(crate) fn joined_by(mut self, join: Arc<dyn Join>) -> Self {
        self.join = Some((join, EntryId::random()));
        self
    }

    /// Removes these when the new response is stored.
    pub(crate) fn replacing(mut self, replaces: Vec<EntryId>) -> Self {
        self.replaces = replaces;
        self
    }

    /// Keeps others of the request's kind waiting until the body is complete.
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

    /// Those who wait leave with the body, which knows first when it is over.
    pub(super) fn take_leading(&mut self) -> Option<Leading> {
        self.leading.take()
    }

    pub(super) fn take_storable_trailers(&mut self) -> StorableTrailers {
        std::mem::take(&mut self.trailers)
    }

    pub(super) fn resumable_beyond(&self) -> Option<u64> {
        self.resumable
    }

    /// Which part it is, should the body break off.
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

    /// Stores a response whose whole body is at hand, without keeping the caller. The body holds its room in memory
    /// until it is stored.
    pub(super) fn store_whole(mut self, body: Vec<Bytes>, end: BodyEnd, room: Room) -> Retraction {
        let (retraction, over) = self.retraction();
        let mark = self.store.mark(&self.head.key);
        // From here on whoever asks waits for the mark.
        drop(self.take_leading());
        let mut after = self.after();
        after.ended(&end);
        let store = self.store.clone();
        store.clone().run_or_spawn(async move {
            let turn = store.turn().await;
            let len = body.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
            let result = match self.target.clone() {
                Some(target) if len <= ALIAS_BODY => self.put_alias(target, &body, end).await,
                _ => self.put_response(body, end).await,
            };
            drop((turn, room));
            after.tidy(&store, &result).await;
            store.filled(Some(&result));
            after.join(&result, mark).await;
            drop(over);
        });
        retraction
    }

    /// The way back, and what to drop when there is nothing more to be taken back.
    fn retraction(&self) -> (Retraction, oneshot::Sender<()>) {
        let ids = [Some(self.head.id), self.join.as_ref().map(|(_, union)| *union)];
        let (over, is_over) = oneshot::channel();
        (Retraction { store: self.store.clone(), key: self.head.key.clone(), ids, is_over }, over)
    }

    /// What is left to do once this response is stored.
    fn after(&self) -> After {
        After {
            key: self.head.key.clone(),
            id: self.head.id,
            is_part: self.head.range.is_some(),
            replaces: self.replaces.clone(),
            outgrows: self.outgrows.clone(),
            join: self.join.clone(),
        }
    }

    /// Begins to store a body that is too long to be kept back until it is complete.
    pub(super) fn start(self, body: Chunks, room: Room) -> Filling {
        let (inlet, outlet) = pipe(PIPE, body, room);
        let (retraction, over) = self.retraction();
        let (ended, is_ended) = oneshot::channel::<()>();
        let following = Box::pin(async move {
            self.follow(outlet).await;
            drop((over, ended));
        });
        let following = Following { work: Work::Here(SyncWrapper::new(following)), is_ended };
        Filling { inlet, retraction, following }
    }

    /// Gives up before anything was written.
    pub(super) fn abandon(self) {
        self.store.filled(None);
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
    async fn follow(self, mut outlet: Outlet<Complete>) {
        let mut after = self.after();
        let Self { store, head, fence, .. } = self;
        // Held until the counters know, so that whoever waits for the key sees them too.
        let mut last_mark = None;
        let result = async {
            let mut writer = store.begin(head, fence).await?;
            loop {
                match outlet.next().await {
                    Passed::Data(data) => store.write(&mut writer, data).await?,
                    Passed::Complete(Complete { end, mark }) => {
                        last_mark = Some(mark);
                        after.ended(&end);
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
        // While the storage was busy the body may have been given up, and counted.
        let is_given_up = last_mark.is_none() && !outlet.close();
        drop(outlet);
        let Some(result) = result.transpose() else { return };
        if is_given_up {
            return store.filling_failed(&result);
        }
        after.tidy(&store, &result).await;
        store.filled(Some(&result));
        if let Some(mark) = last_mark {
            after.join(&result, mark).await;
        }
    }
}

/// What is left to do once a response is stored.
struct After {
    key: CacheKey,
    id: EntryId,
    is_part: bool,
    replaces: Vec<EntryId>,
    outgrows: Vec<EntryId>,
    join: Option<(Arc<dyn Join>, EntryId)>,
}

impl After {
    /// Known only when the body is over: whether it broke off and is kept as a part.
    fn ended(&mut self, end: &BodyEnd) {
        if end.range.is_some() {
            self.is_part = true;
            self.outgrows = Vec::new();
        }
    }

    async fn tidy(&self, store: &Store, result: &Result<Published, StorageError>) {
        if let Ok(published) = result {
            tidy(store, &self.key, &self.replaces, *published).await;
            tidy(store, &self.key, &self.outgrows, *published).await;
        }
    }

    async fn join(self, result: &Result<Published, StorageError>, mark: Mark) {
        if let (Ok(Published::Stored), true, Some((join, union))) = (result, self.is_part, self.join) {
            join.join(self.key, self.id, union, mark).await;
        }
    }
}

/// Removes what the new response replaced. Should that fail, the newer `Date` still wins on reuse.
pub(super) async fn tidy(store: &Store, key: &CacheKey, replaced: &[EntryId], published: Published) {
    if published == Published::Stored {
        for id in replaced {
            let _ = store.remove_entry(key, *id).await;
        }
    }
}

/// The work of storing a body that comes through the pipe.
///
/// It begins in the caller's task: a storage that never keeps it waiting, as memory does, or that only takes things into
/// a queue, needs no other. The first time it has to wait for the storage it moves into a task of its own, so that the
/// storage's deadlines do not run while the caller is busy elsewhere.
struct Following {
    work: Work,
    is_ended: oneshot::Receiver<()>,
}

enum Work {
    Here(SyncWrapper<Pin<Box<dyn Future<Output = ()> + Send>>>),
    Elsewhere,
    /// The response is stored, or the storage failed.
    Over,
}

impl Following {
    /// Works on what is in the pipe, unless that is done elsewhere. `waits`: whether it only waits for more.
    fn work(&mut self, cx: &mut Context<'_>, waits: impl Fn() -> bool) {
        let Work::Here(work) = &mut self.work else { return };
        if work.get_mut().as_mut().poll(cx).is_ready() {
            self.work = Work::Over;
        } else if !waits() && Handle::try_current().is_ok() {
            self.leave();
        }
    }

    /// Goes on beside the caller.
    fn leave(&mut self) {
        if let Work::Here(work) = std::mem::replace(&mut self.work, Work::Elsewhere) {
            spawn(work.into_inner());
        }
    }

    /// Goes on beside the caller to its end, which can be waited for.
    fn finish(mut self, store: &Store) {
        match std::mem::replace(&mut self.work, Work::Over) {
            Work::Here(work) => store.run_or_spawn(work.into_inner()),
            Work::Elsewhere => store.run_or_spawn(async move {
                let _ = self.is_ended.await;
            }),
            Work::Over => {}
        }
    }
}

/// A body that is being stored chunk by chunk. Dropped before it is complete, nothing of it is published.
pub(super) struct Filling {
    pub(super) inlet: Inlet<Complete>,
    retraction: Retraction,
    following: Following,
}

impl Filling {
    /// Works on what has been handed over. The caller's task is woken when more can be done.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        self.following.work(cx, || self.inlet.is_waited_for());
    }

    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.inlet.poll_room(cx)
    }

    pub(super) fn complete(self, end: BodyEnd) -> (Retraction, Completing) {
        let Self { inlet, following, retraction } = self;
        let mark = retraction.store.mark(&retraction.key);
        inlet.complete(Complete { end, mark });
        let store = retraction.store.clone();
        (retraction, Completing { store, inlet, following: Some(following) })
    }

    /// Takes back what has been written.
    pub(super) fn abort(self) {
        let Self { inlet, following, retraction } = self;
        // A storage that failed has been counted.
        if inlet.give_up() {
            retraction.store.filled(None);
        }
        drop(inlet);
        following.finish(&retraction.store);
    }
}

/// A body that is complete, and not yet all in the hands of the storage. Dropped, the rest is done beside the caller.
pub(super) struct Completing {
    store: Store,
    inlet: Inlet<Complete>,
    following: Option<Following>,
}

impl Completing {
    /// Ready when the storage was asked to publish the response, or has failed. A storage with a thread of its own has
    /// all of it in its queue then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(following) = &mut self.following {
            following.work(cx, || false);
        }
        self.inlet.poll_closed(cx)
    }
}

impl Drop for Completing {
    fn drop(&mut self) {
        if let Some(following) = self.following.take() {
            following.finish(&self.store);
        }
    }
}

/// The way back: takes a response out of the store whose body went on after its promised end.
#[derive(Debug)]
pub(crate) struct Retraction {
    store: Store,
    key: CacheKey,
    /// Its own, and that of what it may have become a part of.
    ids: [Option<EntryId>; 2],
    is_over: oneshot::Receiver<()>,
}

impl Retraction {
    /// Waits until there is nothing more to be taken back.
    pub(super) async fn over(&mut self) {
        let _ = (&mut self.is_over).await;
    }

    /// Whoever asks from now on waits until it is taken out.
    pub(super) fn retract(self) {
        let Self { store, key, ids, is_over } = self;
        let mark = store.mark(&key);
        store.clone().run_or_spawn(async move {
            let _ = is_over.await;
            let ids: Vec<_> = ids.into_iter().flatten().collect();
            tidy(&store, &key, &ids, Published::Stored).await;
            drop(mark);
        });
    }
}
