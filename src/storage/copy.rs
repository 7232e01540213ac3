//! Copying everything from one storage to another.

use super::{DynStorage, Published, StorageError, StorageErrorKind, StorageExt};
use crate::entry::{Alias, BodyEnd, StoredHead, StoredResponse};

/// The counts of [`StorageExt::copy_to`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Responses that the other storage has now.
    pub responses: u64,
    /// Aliases that the other storage has now.
    pub aliases: u64,
    /// Not copied, because the other storage has one that arrived at the same time or later.
    pub skipped: u64,
    /// Missing or damaged when the copy reached them.
    pub unreadable: u64,
    /// Refused by the other storage: too large, or removed there during the copy.
    pub refused: u64,
}

impl Copied {
    /// The number of responses and aliases that were examined.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.responses + self.aliases + self.skipped + self.unreadable + self.refused
    }

    fn count(&mut self, outcome: &Outcome, copied: impl FnOnce(&mut Self) -> &mut u64) {
        *match outcome {
            Outcome::Copied => copied(self),
            Outcome::Skipped => &mut self.skipped,
            Outcome::Unreadable => &mut self.unreadable,
            Outcome::Refused => &mut self.refused,
        } += 1;
    }
}

enum Outcome {
    Copied,
    Skipped,
    Unreadable,
    Refused,
}

pub(super) async fn copy<S: DynStorage + ?Sized>(
    source: &S,
    target: &dyn DynStorage,
    mut progress: impl FnMut(&Copied) + Send,
) -> Result<Copied, StorageError> {
    let mut copied = Copied::default();
    let mut heads = source.entries();
    while let Some(head) = heads.next().await {
        let outcome = copy_response(source, target, head?).await?;
        copied.count(&outcome, |copied| &mut copied.responses);
        progress(&copied);
    }
    let mut aliases = source.alias_entries();
    while let Some(alias) = aliases.next().await {
        let outcome = copy_alias(source, target, alias?).await?;
        copied.count(&outcome, |copied| &mut copied.aliases);
        progress(&copied);
    }
    Ok(copied)
}

async fn copy_response<S: DynStorage + ?Sized>(
    source: &S,
    target: &dyn DynStorage,
    head: StoredHead,
) -> Result<Outcome, StorageError> {
    let there = target.lookup(&head.key).await?;
    // Each storage counts for itself.
    let head = StoredHead { as_of: there.as_of, ..head };
    let same = |other: &&StoredResponse| head.replaces(&other.head);
    if let Some(other) = there.responses.iter().find(same) {
        if other.head.response_time >= head.response_time {
            return Ok(Outcome::Skipped);
        }
        if other.head.id == head.id {
            // The same body, validated since: writing it again under the same id would mix two writers.
            invalidate(source, target, &head, false).await?;
            let freshened = target.freshen(head, there.fence).await?;
            return Ok(if freshened { Outcome::Copied } else { Outcome::Refused });
        }
    }
    let mut reader = match source.open(&head).await {
        Ok(reader) => reader,
        Err(error) => return unreadable(error),
    };
    invalidate(source, target, &head, false).await?;
    let end = BodyEnd { trailers: head.trailers.clone(), range: None };
    let mut writer = match target.begin(head, there.fence).await {
        Ok(writer) => writer,
        Err(error) => return refused(error),
    };
    loop {
        match reader.next().await {
            Ok(Some(piece)) => {
                if let Err(error) = writer.write(piece).await {
                    writer.abort().await;
                    return refused(error);
                }
            }
            Ok(None) => break,
            Err(error) => {
                writer.abort().await;
                return unreadable(error);
            }
        }
    }
    writer.publish(end).await.map(published).or_else(refused)
}

async fn copy_alias<S: DynStorage + ?Sized>(
    source: &S,
    target: &dyn DynStorage,
    alias: Alias,
) -> Result<Outcome, StorageError> {
    let head = &alias.response.head;
    let there = target.lookup(&head.key).await?;
    if there.alias.is_some_and(|other| other.response.head.response_time >= head.response_time) {
        return Ok(Outcome::Skipped);
    }
    invalidate(source, target, head, true).await?;
    let head = StoredHead { as_of: there.as_of, ..StoredHead::clone(head) };
    let response = StoredResponse { head: head.into(), ..alias.response };
    let alias = Alias { response, target: alias.target };
    target.put_alias(alias, there.fence).await.map(published).or_else(refused)
}

/// Copies an invalidation. A storage tells only whether one of the groups was invalidated, and not which one.
async fn invalidate<S: DynStorage + ?Sized>(
    source: &S,
    target: &dyn DynStorage,
    head: &StoredHead,
    alias: bool,
) -> Result<(), StorageError> {
    let here = source.lookup(&head.key).await?;
    let invalidated = if alias {
        here.alias.is_some_and(|alias| alias.response.invalidated)
    } else {
        here.responses.iter().any(|response| response.head.id == head.id && response.invalidated)
    };
    if invalidated {
        target.invalidate(&head.group_ids().collect::<Vec<_>>()).await?;
    }
    Ok(())
}

fn published(published: Published) -> Outcome {
    match published {
        Published::Stored => Outcome::Copied,
        Published::Superseded => Outcome::Refused,
    }
}

fn unreadable(error: StorageError) -> Result<Outcome, StorageError> {
    match error.kind() {
        StorageErrorKind::Missing | StorageErrorKind::Corrupt => Ok(Outcome::Unreadable),
        _ => Err(error),
    }
}

fn refused(error: StorageError) -> Result<Outcome, StorageError> {
    match error.kind() {
        StorageErrorKind::TooLarge => Ok(Outcome::Refused),
        _ => Err(error),
    }
}
