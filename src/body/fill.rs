//! Storing one response while its body passes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::leading::Leading;
use super::pipe::{Inlet, Outlet, Piece, pipe};
use super::publishing::{Mark, Publishing};
use super::union::Join;
use crate::entry::{
    Alias, BodyEnd, BodySummary, EntryId, StoredBody, StoredHead, StoredRange, StoredResponse,
};
use crate::key::CacheKey;
use crate::policy::StorableTrailers;
use crate::storage::{AnyWriter, DynStorage, Fence, Published, StorageError, within};

/// So many bytes may wait for the store before the caller's side is asked to pause.
const PIPE: usize = 256 * 1024;
/// A redirect's body up to this length is stored with its alias.
pub(crate) const ALIAS_BODY: u64 = 16 * 1024;

/// The storage, and how patient to be with it.
#[derive(Clone)]
pub(crate) struct FillSettings {
    pub(crate) storage: Arc<dyn DynStorage>,
    /// For every single operation of the storage.
    pub(crate) deadline: Duration,
    /// How long the caller's side may be held up, each time the store is behind, before the fill is given up.
    pub(crate) patience: Duration,
    pub(crate) publishing: Publishing,
    pub(crate) observer: Arc<dyn Observe>,
}

/// Hears what became of each fill.
pub(crate) trait Observe: Send + Sync {
    /// `None`: the body did not arrive whole, or the store was too slow for it.
    fn filled(&self, result: Option<&Result<Published, StorageError>>);
}

impl fmt::Debug for FillSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { storage, deadline, patience, .. } = self;
        f.debug_struct("FillSettings")
            .field("storage", storage)
            .field("deadline", deadline)
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}

/// One response on its way into the store.
pub(crate) struct Fill {
    settings: FillSettings,
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
    ByLength,
    /// `Content-Range` alone. `until_close`: the message ends with the connection.
    ByRange { until_close: bool },
    /// The body itself, which no field contradicts.
    ByHint,
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
    pub(crate) fn new(
        settings: FillSettings,
        mut head: StoredHead,
        fence: Fence,
        expected: Option<u64>,
    ) -> Self {
        head.body = expected.map(|len| BodySummary { len, checksum: 0 });
        let (replaces, outgrows) = (Vec::new(), Vec::new());
        let (counted, target) = (Counted::ByLength, None);
        let (resumable, join, leading) = (None, None, None);
        let trailers = StorableTrailers::default();
        Self {
            settings,
            head,
            fence,
            target,
            replaces,
            outgrows,
            counted,
            resumable,
            join,
            leading,
            trailers,
        }
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

    pub(super) fn patience(&self) -> Duration {
        self.settings.patience
    }

    /// Whether the body is not complete with its last byte: trailer fields are to come, or only its end will show
    /// that it is not longer than announced.
    pub(super) fn awaits_end(&self) -> bool {
        self.head.headers.contains_key(http::header::TRAILER)
            || matches!(self.counted, Counted::ByRange { .. })
    }

    pub(super) fn early_end(&self) -> EarlyEnd {
        match self.counted {
            Counted::ByLength | Counted::ByRange { until_close: true } => EarlyEnd::BrokenOff,
            Counted::ByHint | Counted::ByRange { until_close: false } => EarlyEnd::Misstated,
        }
    }

    /// Stores a response whose whole body is at hand, without keeping the caller.
    pub(crate) fn store(mut self, body: Vec<Bytes>, end: BodyEnd) -> Retraction {
        let retraction = self.retraction();
        let mark = self.settings.publishing.mark(&self.head.key);
        // From here on whoever asks waits for the mark.
        drop(self.take_leading());
        let mut after = self.after();
        after.ended(&end);
        detach(async move {
            let len = body.iter().map(|piece| piece.len() as u64).sum::<u64>();
            let settings = self.settings.clone();
            let result = match self.target.clone() {
                Some(target) if len <= ALIAS_BODY => self.put_alias(target, &body, end).await,
                _ => self.put_response(body, end).await,
            };
            after.tidy(&settings, &result).await;
            settings.observer.filled(Some(&result));
            after.join(&result, mark).await;
        });
        retraction
    }

    fn retraction(&self) -> Retraction {
        let ids = [Some(self.head.id), self.join.as_ref().map(|(_, union)| *union)];
        Retraction { settings: self.settings.clone(), key: self.head.key.clone(), ids }
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
    pub(super) fn start(self) -> Filling {
        let (inlet, outlet) = pipe(PIPE);
        let retraction = self.retraction();
        tokio::spawn(self.follow(outlet));
        Filling { inlet, retraction }
    }

    /// Gives up before anything was written.
    pub(super) fn abandon(self) {
        self.settings.observer.filled(None);
    }

    async fn put_response(self, body: Vec<Bytes>, end: BodyEnd) -> Result<Published, StorageError> {
        let Self { settings, head, fence, .. } = self;
        let mut writer = settings.begin(head, fence).await?;
        for piece in body {
            settings.write(&mut writer, piece).await?;
        }
        settings.publish(writer, end).await
    }

    async fn put_alias(
        self,
        target: CacheKey,
        body: &[Bytes],
        end: BodyEnd,
    ) -> Result<Published, StorageError> {
        let Self { settings, mut head, fence, .. } = self;
        let body = Bytes::from(body.concat());
        head.finish(BodySummary::of(&body), end);
        let response =
            StoredResponse { head: Arc::new(head), body: StoredBody::Inline(body), invalidated: false };
        let put = settings.storage.put_alias(Alias { response, target }, fence);
        within(settings.deadline, "storing an alias", put).await
    }

    /// Writes what comes through the pipe.
    async fn follow(self, mut outlet: Outlet<Complete>) {
        let mut after = self.after();
        let Self { settings, head, fence, .. } = self;
        // Held until the observer has heard, so that whoever waits for the key sees the counters too.
        let mut last_mark = None;
        let result = async {
            let mut writer = settings.begin(head, fence).await?;
            loop {
                match outlet.next().await {
                    Piece::Data(data) => settings.write(&mut writer, data).await?,
                    Piece::Complete(Complete { end, mark }) => {
                        last_mark = Some(mark);
                        after.ended(&end);
                        return settings.publish(writer, end).await.map(Some);
                    }
                    Piece::Aborted => {
                        writer.abort().await;
                        return Ok(None);
                    }
                }
            }
        }
        .await;
        let result = result.transpose();
        if let Some(result) = &result {
            after.tidy(&settings, result).await;
        }
        settings.observer.filled(result.as_ref());
        if let (Some(mark), Some(result)) = (last_mark, result) {
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

    async fn tidy(&self, settings: &FillSettings, result: &Result<Published, StorageError>) {
        if let Ok(published) = result {
            settings.tidy(&self.key, &self.replaces, *published).await;
            settings.tidy(&self.key, &self.outgrows, *published).await;
        }
    }

    async fn join(self, result: &Result<Published, StorageError>, mark: Mark) {
        if let (Ok(Published::Stored), true, Some((join, union))) = (result, self.is_part, self.join) {
            join.join(self.key, self.id, union, mark).await;
        }
    }
}

/// A body that is being stored piece by piece. Dropped before it is complete, nothing of it is published.
pub(super) struct Filling {
    pub(super) inlet: Inlet<Complete>,
    retraction: Retraction,
}

impl Filling {
    pub(super) fn complete(self, end: BodyEnd) -> Retraction {
        let mark = self.retraction.settings.publishing.mark(&self.retraction.key);
        self.inlet.complete(Complete { end, mark });
        self.retraction
    }
}

/// The way back: takes a response out of the store whose body went on after its promised end.
#[derive(Debug)]
pub(crate) struct Retraction {
    settings: FillSettings,
    key: CacheKey,
    /// Its own, and that of what it may have become a part of.
    ids: [Option<EntryId>; 2],
}

impl Retraction {
    pub(super) fn retract(self) {
        detach(async move {
            let Self { settings, key, ids } = self;
            settings.publishing.settled(&key).await;
            let ids: Vec<_> = ids.into_iter().flatten().collect();
            settings.tidy(&key, &ids, Published::Stored).await;
        });
    }
}

impl FillSettings {
    pub(super) async fn begin(&self, head: StoredHead, fence: Fence) -> Result<AnyWriter, StorageError> {
        within(self.deadline, "beginning to store", self.storage.begin(head, fence)).await
    }

    pub(super) async fn write(&self, writer: &mut AnyWriter, data: Bytes) -> Result<(), StorageError> {
        within(self.deadline, "writing a body", Box::pin(writer.write(data))).await
    }

    pub(super) async fn publish(&self, writer: AnyWriter, end: BodyEnd) -> Result<Published, StorageError> {
        within(self.deadline, "publishing", Box::pin(writer.publish(end))).await
    }

    /// Removes what the new response replaced. Should that fail, the newer `Date` still wins on reuse.
    pub(super) async fn tidy(&self, key: &CacheKey, replaced: &[EntryId], published: Published) {
        if published == Published::Stored {
            for id in replaced {
                let removal = self.storage.remove_entry(key, *id);
                let _ = within(self.deadline, "removing a replaced response", removal).await;
            }
        }
    }
}

/// Runs a task to its end where it is, when it never has to wait (memory), and beside the caller otherwise.
pub(crate) fn detach(task: impl Future<Output = ()> + Send + 'static) {
    let mut task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
    if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(task);
    }
}
