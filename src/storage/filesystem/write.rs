//! Writing a body as it passes by.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::entry::{BodyEnd, BodySummary, StoredHead};
use crate::storage::{BodyWriter, Fence, Published, StorageError, StorageErrorKind};

use super::Shared;
use super::blocking::run;
use super::blocks::{BLOCK, BlockWriter};
use super::change::publish;
use super::compact;
use super::error::{Doing, error};
use super::json;
use super::options::Format;
use super::record::{Place, Variant};

/// Bytes that are gathered before a blocking thread is asked to write them.
const GATHERED: usize = 4 * BLOCK;

/// Writes a body into a [`FileStorage`](super::FileStorage).
///
/// Nothing touches the disk before 256 KiB have come or the response is published. Holds at most that much in memory.
pub struct FileWriter {
    shared: Arc<Shared>,
    head: StoredHead,
    fence: Fence,
    gathered: Vec<u8>,
    total: u64,
    blocks: Option<BlockWriter>,
    /// A write failed or was not waited for: what is there is not the whole beginning any more.
    broken: bool,
}

impl FileWriter {
    pub(super) fn new(shared: Arc<Shared>, head: StoredHead, fence: Fence) -> Self {
        Self { shared, head, fence, gathered: Vec::new(), total: 0, blocks: None, broken: false }
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        let (shared, id) = (Arc::clone(&self.shared), self.head.id);
        let (blocks, gathered) = (self.blocks.take(), std::mem::take(&mut self.gathered));
        self.broken = true;
        let written = run(move || {
            shared.writing(|| {
                let mut blocks = match blocks {
                    Some(blocks) => blocks,
                    None => BlockWriter::create(&shared.current()?, id).doing("creating a temporary file")?,
                };
                blocks.write(&gathered).doing("writing a body")?;
                Ok((blocks, gathered))
            })
        });
        let (blocks, mut gathered) = written.await??;
        gathered.clear();
        self.gathered = gathered;
        self.blocks = Some(blocks);
        self.broken = false;
        Ok(())
    }
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
        if self.broken {
            return Err(error(StorageErrorKind::Other, "writing a body after an error"));
        }
        self.total = self.total.saturating_add(data.len() as u64);
        if let Err(error) = self.shared.options.check_len(self.total) {
            self.broken = true;
            return Err(error);
        }
        while !data.is_empty() {
            let room = GATHERED - self.gathered.len().min(GATHERED);
            self.gathered.extend_from_slice(&data.split_to(room.min(data.len())));
            if self.gathered.len() >= GATHERED {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn publish(mut self, end: BodyEnd) -> Result<Published, StorageError> {
        if self.broken {
            return Err(error(StorageErrorKind::Other, "publishing after an error"));
        }
        let shared = Arc::clone(&self.shared);
        let head = self.head.clone();
        let (blocks, gathered) = (self.blocks.take(), std::mem::take(&mut self.gathered));
        let fence = self.fence;
        run(move || shared.writing(|| complete(&shared, head, blocks, gathered, end, fence))).await?
    }

    async fn abort(mut self) {
        if let Some(blocks) = self.blocks.take() {
            let _ = run(move || drop(blocks)).await;
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // Removing a large file takes its time.
        if let Some(blocks) = self.blocks.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(blocks));
        }
    }
}

fn complete(
    shared: &Shared,
    mut head: StoredHead,
    blocks: Option<BlockWriter>,
    rest: Vec<u8>,
    end: BodyEnd,
    fence: Fence,
) -> Result<Published, StorageError> {
    let root = match &blocks {
        Some(blocks) if blocks.root().is_current() => Arc::clone(blocks.root()),
        Some(_) => {
            let action = "publishing: the directory was replaced since the body's beginning was written";
            return Err(error(StorageErrorKind::Unavailable, action));
        }
        None => shared.current()?,
    };
    let (place, body) = if blocks.is_none() && rest.len() <= shared.options.inline {
        head.finish(BodySummary::of(&rest), end);
        (Place::Inline(rest.into()), None)
    } else {
        let mut blocks = match blocks {
            Some(blocks) => blocks,
            None => BlockWriter::create(&root, head.id).doing("creating a temporary file")?,
        };
        blocks.write(&rest).doing("writing a body")?;
        let written = blocks.finish().doing("writing a body")?;
        head.finish(written.summary, end);
        let extension = match root.format {
            Format::Compact => compact::EXTENSION.to_owned(),
            Format::Json => json::extension_for(&head.headers),
        };
        (Place::File { extension }, Some(written))
    };
    publish(shared, &root, Variant { head: Arc::new(head), place, target: None }, body, fence)
}
