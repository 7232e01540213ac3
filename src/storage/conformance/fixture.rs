//! What a backend passes to the suite.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::entry::StoredHead;
use crate::storage::{DynStorage, Storage, StorageError};

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send>>;
type Reopen = Box<dyn Fn() -> BoxFuture<Arc<dyn DynStorage>> + Send + Sync>;
type Spoil = Box<dyn Fn(StoredHead, Damage) -> BoxFuture<bool> + Send + Sync>;

/// An empty storage for one requirement, and what else may be done with it.
///
/// Requirements that need something the fixture does not offer pass, and say so on standard output.
#[must_use = "a fixture is for the suite to run on"]
pub struct Fixture {
    pub(super) storage: Arc<dyn DynStorage>,
    pub(super) inline_threshold: Option<usize>,
    pub(super) max_body: Option<u64>,
    reopen: Option<Reopen>,
    spoil: Option<Spoil>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

/// A way to damage stored bytes without the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Change bits in the middle of the body.
    FlipBody,
    /// Make part of the body disappear, or all of it.
    LoseBody,
    /// Overwrite the head with bytes that mean nothing.
    GarbleHead,
    /// Make the head one that another version of its format wrote: change its number of the version.
    OtherVersion,
    /// Undo [`OtherVersion`](Self::OtherVersion).
    OwnVersion,
}

impl Fixture {
    /// A fixture with an empty storage without other users.
    pub fn new(storage: impl Storage) -> Self {
        Self::shared(Arc::new(storage))
    }

    /// The same for a storage that is an object already.
    pub fn shared(storage: Arc<dyn DynStorage>) -> Self {
        Self { storage, inline_threshold: None, max_body: None, reopen: None, spoil: None, kept: Vec::new() }
    }

    /// How to get a further handle on the same data: used while others are open, and after they were dropped.
    pub fn reopen<S, F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: Storage,
        F: Future<Output = Result<S, StorageError>> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || {
            let opening = open();
            Box::pin(async move { Ok(Arc::new(opening.await?) as Arc<dyn DynStorage>) })
        }));
        self
    }

    /// How to damage the stored response with this head. The future says whether it was done; `false` means
    /// that this damage cannot happen to this storage.
    pub fn damage<F>(mut self, spoil: impl Fn(StoredHead, Damage) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<bool, StorageError>> + Send + 'static,
    {
        self.spoil = Some(Box::new(move |head, damage| Box::pin(spoil(head, damage))));
        self
    }

    /// From which body length on the storage streams, so that the lengths around it are tried. Without it the suite
    /// tries those around 4, 16 and 64 KiB.
    pub const fn inline_threshold(mut self, bytes: usize) -> Self {
        self.inline_threshold = Some(bytes);
        self
    }

    /// The storage's limit for one body. Give the storage one of at least 64 MiB to have bodies of that size tried.
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Keeps something alive until the requirement has been checked: a temporary directory, a server.
    pub fn keep(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// A second handle, where the fixture offers it.
    pub(super) async fn second(&self) -> Option<Arc<dyn DynStorage>> {
        let Some(reopen) = &self.reopen else {
            println!("skipped: the fixture cannot be reopened");
            return None;
        };
        Some(reopen().await.expect("a further handle opens"))
    }

    /// Drops the handle and opens a new one, where the fixture offers it.
    pub(super) async fn reopened(mut self) -> Option<Self> {
        let Some(reopen) = &self.reopen else {
            println!("skipped: the fixture cannot be reopened");
            return None;
        };
        // The old handle must be gone before the new one is there, so a harmless one takes its place meanwhile.
        self.storage = Arc::new(crate::storage::MemoryStorage::new());
        self.storage = reopen().await.expect("the storage opens again");
        Some(self)
    }

    /// Damages what is stored; says whether that could be done.
    pub(super) async fn spoil(&self, head: &StoredHead, damage: Damage) -> bool {
        let Some(spoil) = &self.spoil else {
            println!("skipped: the fixture cannot damage what is stored");
            return false;
        };
        let done = spoil(head.clone(), damage).await.expect("the damage is done");
        if !done {
            println!("skipped: {damage:?} cannot happen to this storage");
        }
        done
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("storage", &self.storage).finish_non_exhaustive()
    }
}
