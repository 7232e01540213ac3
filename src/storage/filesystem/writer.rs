//! Writing a body as it passes by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::entry::{BodyEnd, BodySummary, StoredHead};
use crate::storage::kit::backlog::Queued;
use crate::storage::kit::check_head;
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

use super::chunks::{CHUNK, ChunkWriter};
use super::compact;
use super::error::{Doing, NAME, error};
use super::handle::{Handle, writing};
use super::json;
use super::layout::Name;
use super::options::Format;
use super::publish::publish;
use super::queue::Answer;
use super::record::{Place, Variant};
use super::shared::Shared;

/// Bytes that are gathered before they are handed to the thread that writes them.
const GATHERED: usize = 4 * CHUNK;

/// Writes a body into a [`FileStorage`](super::FileStorage).
///
/// Nothing touches the disk before 256 KiB have come or the response is published. Data is accepted without waiting
/// while less than 1 MiB of the body is queued, and a publication always is; a failure shows with the next
/// piece or when the response is published. What was accepted is written even if the runtime ends.
pub struct FileWriter {
    handle: Handle,
    lane: u8,
    head: StoredHead,
    fence: Fence,
    gathered: Vec<u8>,
    total: u64,
    queued: Queued,
    /// What the writing thread has of the body, once there is something.
    progress: Option<Arc<Mutex<Progress>>>,
    phase: Phase,
}

/// How far a body got on the disk.
enum Progress {
    Written(Option<Box<ChunkWriter>>),
    /// The error, until somebody was told.
    Failed(Option<StorageError>),
}

/// What may still be done with a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Writing,
    /// A chunk was refused, failed, or its future was dropped half-way.
    Failed,
    /// Nothing has to be given up any more.
    Done,
}

impl FileWriter {
    pub(super) fn new(handle: Handle, head: StoredHead, fence: Fence) -> Self {
        let lane = Name::of(&head.key).fan();
        let queued = handle.queue.backlog.body();
        let (gathered, progress, phase) = (Vec::new(), None, Phase::Writing);
        Self { handle, lane, head, fence, gathered, total: 0, queued, progress, phase }
    }

    /// Hands over what was gathered.
    fn flush(&mut self) {
        let progress = self.progress.get_or_insert_with(|| Arc::new(Mutex::new(Progress::Written(None))));
        let (shared, progress) = (Arc::clone(&self.handle.shared), Arc::clone(progress));
        let (id, gathered) = (self.head.id, std::mem::take(&mut self.gathered));
        let ticket = self.queued.add(gathered.len());
        // How it went is in the progress.
        let _ = self.handle.queue.submit(self.lane, move || {
            lock(&progress).append(|chunks| {
                writing(&shared, || {
                    let mut chunks = match chunks {
                        Some(chunks) => chunks,
                        None => Box::new(
                            ChunkWriter::create(&shared.current()?, id).doing("creating a temporary file")?,
                        ),
                    };
                    chunks.write(&gathered).doing("writing a body")?;
                    Ok(chunks)
                })
            });
            drop((gathered, ticket));
            Ok(())
        });
    }

    /// What went wrong with earlier chunks.
    fn failure(&self) -> Result<(), StorageError> {
        match self.progress.as_ref().map(|progress| lock(progress)).as_deref_mut() {
            Some(Progress::Failed(error)) => Err(error.take().unwrap_or_else(failed_before)),
            Some(Progress::Written(_)) | None => Ok(()),
        }
    }
}

impl Progress {
    fn append(
        &mut self,
        write: impl FnOnce(Option<Box<ChunkWriter>>) -> Result<Box<ChunkWriter>, StorageError>,
    ) {
        if let Self::Written(chunks) = self {
            *self = match write(chunks.take()) {
                Ok(chunks) => Self::Written(Some(chunks)),
                Err(error) => Self::Failed(Some(error)),
            };
        }
    }

    fn take(&mut self) -> Result<Option<Box<ChunkWriter>>, StorageError> {
        match self {
            Self::Written(chunks) => Ok(chunks.take()),
            Self::Failed(error) => Err(error.take().unwrap_or_else(failed_before)),
        }
    }
}

fn lock(progress: &Mutex<Progress>) -> std::sync::MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed_before() -> StorageError {
    error(StorageErrorKind::Other, "writing a body after an error")
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter")
            .field("id", &self.head.id)
            .field("written", &self.total)
            .finish_non_exhaustive()
    }
}

impl BodyWriter for FileWriter {
    async fn write(&mut self, mut data: Bytes) -> Result<(), StorageError> {
        if self.phase != Phase::Writing {
            return Err(failed_before());
        }
        self.phase = Phase::Failed;
        self.total = self.total.saturating_add(data.len() as u64);
        self.handle.shared.options.check_len(self.total)?;
        self.queued.room().await;
        self.failure()?;
        while !data.is_empty() {
            let room = GATHERED - self.gathered.len().min(GATHERED);
            self.gathered.extend_from_slice(&data.split_to(room.min(data.len())));
            if self.gathered.len() >= GATHERED {
                self.flush();
            }
        }
        self.phase = Phase::Writing;
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        if self.phase != Phase::Writing {
            return Err(failed_before());
        }
        self.phase = Phase::Done;
        let shared = Arc::clone(&self.handle.shared);
        let (head, fence) = (self.head.clone(), self.fence);
        let (progress, rest) = (self.progress.take(), std::mem::take(&mut self.gathered));
        let ticket = self.queued.add(rest.len());
        let published = self.handle.queue.submit(self.lane, move || {
            let chunks = progress.map_or(Ok(None), |progress| lock(&progress).take())?;
            let published = writing(&shared, || complete(&shared, head, chunks, rest, end, fence));
            drop(ticket);
            published
        });
        published.get().await
    }

    async fn abort(mut self) {
        if let Some(given_up) = self.give_up() {
            let _ = given_up.get().await;
        }
    }
}

impl FileWriter {
    /// Has the writing thread remove what there is, behind what is still queued.
    fn give_up(&mut self) -> Option<Answer<()>> {
        self.phase = Phase::Done;
        let progress = self.progress.take()?;
        Some(self.handle.queue.submit(self.lane, move || {
            drop(lock(&progress).take());
            Ok(())
        }))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let _ = self.give_up();
    }
}

fn complete(
    shared: &Shared,
    mut head: StoredHead,
    chunks: Option<Box<ChunkWriter>>,
    rest: Vec<u8>,
    end: BodyEnd,
    fence: Fence,
) -> Result<Published, StorageError> {
    let root = match &chunks {
        Some(chunks) if chunks.root().is_current() => Arc::clone(chunks.root()),
        Some(_) => {
            let action = "publishing: the directory was replaced since the body's beginning was written";
            return Err(error(StorageErrorKind::Unavailable, action));
        }
        None => shared.current()?,
    };
    let (place, body) = if chunks.is_none() && rest.len() <= shared.options.inline_threshold {
        head.finish(BodySummary::of(&rest), end);
        check_head(NAME, &head)?;
        (Place::Inline(rest.into()), None)
    } else {
        let mut chunks = match chunks {
            Some(chunks) => chunks,
            None => Box::new(ChunkWriter::create(&root, head.id).doing("creating a temporary file")?),
        };
        chunks.write(&rest).doing("writing a body")?;
        let written = chunks.finish().doing("writing a body")?;
        head.finish(written.summary, end);
        check_head(NAME, &head)?;
        let extension = match root.format {
            Format::Compact => compact::EXTENSION.to_owned(),
            Format::Json => json::extension_for(&head.headers),
        };
        (Place::File { extension }, Some(written))
    };
    publish(shared, &root, Variant { head: Arc::new(head), place, target: None }, body, fence)
}
