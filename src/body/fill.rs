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
use crate::entry::{Alias, BodyEnd, BodySummary, EntryId, StoredBody, StoredHead, StoredResponse};
use crate::key::CacheKey;
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
#[derive(Debug)]
pub(crate) struct Fill {
    settings: FillSettings,
    head: StoredHead,
    fence: Fence,
    /// For a redirect: the key it leads to.
    target: Option<CacheKey>,
    /// Stored under the same key, and out of date once this response is published.
    replaces: Vec<EntryId>,
    /// What arrived of a body that breaks off may be kept as a part.
    resumable: bool,
    /// Those who wait for this response.
    leading: Option<Leading>,
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
        Self { settings, head, fence, target: None, replaces: Vec::new(), resumable: false, leading: None }
    }

    /// Makes it a redirect alias that leads to `target`.
    pub(crate) fn leading_to(mut self, target: Option<CacheKey>) -> Self {
        self.target = target;
        self
    }

    /// Keeps what arrived as a part (RFC 9111 section 3.3), should the body break off.
    pub(crate) fn resumable(mut self, resumable: bool) -> Self {
        self.resumable = resumable;
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

    pub(super) fn expected(&self) -> Option<u64> {
        self.head.body.map(|body| body.len)
    }

    /// Those who wait leave with the body, which knows first when it is over.
    pub(super) fn take_leading(&mut self) -> Option<Leading> {
        self.leading.take()
    }

    pub(super) fn is_resumable(&self) -> bool {
        self.resumable
    }

    pub(super) fn patience(&self) -> Duration {
        self.settings.patience
    }

    /// Whether trailer fields are to come: then the body is not complete with its last byte.
    pub(super) fn announces_trailers(&self) -> bool {
        self.head.headers.contains_key(http::header::TRAILER)
    }

    /// Stores a response whose whole body is at hand, without keeping the caller.
    pub(crate) fn store(mut self, body: Vec<Bytes>, end: BodyEnd) -> Retraction {
        let retraction = self.retraction();
        let mark = self.settings.publishing.mark(&self.head.key);
        // From here on whoever asks waits for the mark.
        drop(self.take_leading());
        detach(async move {
            let len = body.iter().map(|piece| piece.len() as u64).sum::<u64>();
            let settings = self.settings.clone();
            let result = match self.target.clone() {
                Some(target) if len <= ALIAS_BODY => self.put_alias(target, &body, end).await,
                _ => self.put_response(body, end).await,
            };
            settings.observer.filled(Some(&result));
            drop(mark);
        });
        retraction
    }

    fn retraction(&self) -> Retraction {
        Retraction { settings: self.settings.clone(), key: self.head.key.clone(), id: self.head.id }
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
        let Self { settings, head, fence, replaces, .. } = self;
        let key = head.key.clone();
        let mut writer = settings.begin(head, fence).await?;
        for piece in body {
            settings.write(&mut writer, piece).await?;
        }
        let published = settings.publish(writer, end).await?;
        settings.tidy(&key, replaces, published).await;
        Ok(published)
    }

    async fn put_alias(
        self,
        target: CacheKey,
        body: &[Bytes],
        end: BodyEnd,
    ) -> Result<Published, StorageError> {
        let Self { settings, mut head, fence, replaces, .. } = self;
        let (key, body) = (head.key.clone(), Bytes::from(body.concat()));
        head.finish(BodySummary::of(&body), end);
        let response =
            StoredResponse { head: Arc::new(head), body: StoredBody::Inline(body), invalidated: false };
        let put = settings.storage.put_alias(Alias { response, target }, fence);
        let published = within(settings.deadline, "storing an alias", put).await?;
        settings.tidy(&key, replaces, published).await;
        Ok(published)
    }

    /// Writes what comes through the pipe.
    async fn follow(self, mut outlet: Outlet<Complete>) {
        let Self { settings, head, fence, replaces, .. } = self;
        let key = head.key.clone();
        // Held until the observer has heard, so that whoever waits for the key sees the counters too.
        let mut last_mark = None;
        let result = async {
            let mut writer = settings.begin(head, fence).await?;
            loop {
                match outlet.next().await {
                    Piece::Data(data) => settings.write(&mut writer, data).await?,
                    Piece::Complete(Complete { end, mark }) => {
                        last_mark = Some(mark);
                        let published = settings.publish(writer, end).await?;
                        settings.tidy(&key, replaces, published).await;
                        return Ok(Some(published));
                    }
                    Piece::Aborted => {
                        writer.abort().await;
                        return Ok(None);
                    }
                }
            }
        }
        .await;
        settings.observer.filled(result.transpose().as_ref());
        drop(last_mark);
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
    id: EntryId,
}

impl Retraction {
    pub(super) fn retract(self) {
        detach(async move {
            let Self { settings, key, id } = self;
            settings.publishing.settled(&key).await;
            settings.tidy(&key, vec![id], Published::Stored).await;
        });
    }
}

impl FillSettings {
    async fn begin(&self, head: StoredHead, fence: Fence) -> Result<AnyWriter, StorageError> {
        within(self.deadline, "beginning to store", self.storage.begin(head, fence)).await
    }

    async fn write(&self, writer: &mut AnyWriter, data: Bytes) -> Result<(), StorageError> {
        within(self.deadline, "writing a body", Box::pin(writer.write(data))).await
    }

    async fn publish(&self, writer: AnyWriter, end: BodyEnd) -> Result<Published, StorageError> {
        within(self.deadline, "publishing", Box::pin(writer.publish(end))).await
    }

    /// Removes what the new response replaced. Should that fail, the newer `Date` still wins on reuse.
    async fn tidy(&self, key: &CacheKey, replaced: Vec<EntryId>, published: Published) {
        if published == Published::Stored {
            for id in replaced {
                let removal = self.storage.remove_entry(key, id);
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
