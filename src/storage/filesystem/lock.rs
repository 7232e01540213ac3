//! The lock of one fan-out directory, and changes that keep its counters right.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::storage::{Keyspace, StorageError, StorageErrorKind};

use super::Shared;
use super::dir::PRIVATE_FILE;
use super::error::{Doing, error};
use super::layout::{INVALIDATED, fan_name};
use super::root::Root;
use super::state::Counters;

/// How long another process may hold a lock before we give up; a stopped process must not stop us.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for those who come within a while after somebody waited in vain: else they would queue up behind each other.
const LITTLE_PATIENCE: Duration = Duration::from_millis(250);
const A_WHILE: Duration = Duration::from_secs(10);
/// Those who come sooner after him do not wait at all.
const A_MOMENT: Duration = Duration::from_secs(1);

/// One lock: threads wait at the mutex, processes at the file.
#[derive(Debug, Default)]
pub(super) struct Lock(Mutex<Waited>);

/// What the threads of this process know of the other processes at the file.
#[derive(Debug, Default)]
pub(super) struct Waited {
    /// When somebody waited in vain.
    in_vain: Option<Instant>,
}

/// One fan-out directory of every keyspace, held against all writers of this and other processes.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    pub(super) root: &'a Arc<Root>,
    pub(super) fan: u8,
    // Order matters: the file is closed, and so unlocked, before the next thread of this process may try.
    _file: File,
    _process: MutexGuard<'a, Waited>,
}

impl<'a> Locked<'a> {
    pub(super) fn take(shared: &'a Shared, root: &'a Arc<Root>, fan: u8) -> Result<Self, StorageError> {
        let stripe = shared
            .stripes
            .get(usize::from(fan))
            .ok_or_else(|| error(StorageErrorKind::Other, "choosing a lock"))?;
        let mut process = stripe.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = lock_file(root, &fan_name(fan), &mut process)?;
        Ok(Self { root, fan, _file: file, _process: process })
    }

    /// Announces a change. Unless it is [committed](Change::commit), the next who holds the lock counts again.
    pub(super) fn change(&self) -> Result<Change<'_>, StorageError> {
        let mut counters = self.root.state.counters(self.fan).doing("reading the counters")?;
        if counters.dirty {
            counters = super::maintain::recount(self)?.counters;
        }
        let dirty = Counters { dirty: true, ..counters };
        self.root.state.set_counters(self.fan, dirty).doing("writing the counters")?;
        Ok(Change { locked: self, counters: Counters { dirty: false, ..counters } })
    }
}

/// Does `work` while no other thread and no other process changes the file of invalidations.
pub(super) fn invalidating<T>(
    shared: &Shared,
    root: &Root,
    work: impl FnOnce() -> io::Result<T>,
) -> Result<T, StorageError> {
    let mut process = shared.invalidating.0.lock().unwrap_or_else(PoisonError::into_inner);
    let _file = lock_file(root, INVALIDATED, &mut process)?;
    work().doing("writing the file of invalidations")
}

/// A change of what a fan-out directory holds.
#[derive(Debug)]
#[must_use = "a change that is not committed makes the next writer count again"]
pub(super) struct Change<'a> {
    locked: &'a Locked<'a>,
    counters: Counters,
}

impl<'a> Change<'a> {
    pub(super) fn locked(&self) -> &'a Locked<'a> {
        self.locked
    }

    pub(super) fn add(&mut self, keyspace: Keyspace, entries: u64, bytes: u64) {
        let count = self.counters.entries(keyspace);
        *count = count.saturating_add(entries);
        self.counters.bytes = self.counters.bytes.saturating_add(bytes);
    }

    pub(super) fn take_away(&mut self, keyspace: Keyspace, entries: u64, bytes: u64) {
        let count = self.counters.entries(keyspace);
        *count = count.saturating_sub(entries);
        self.counters.bytes = self.counters.bytes.saturating_sub(bytes);
    }

    pub(super) fn commit(self) -> Result<(), StorageError> {
        self.locked.root.state.set_counters(self.locked.fan, self.counters).doing("writing the counters")
    }
}

fn lock_file(root: &Root, name: &str, waited: &mut Waited) -> Result<File, StorageError> {
    let start = Instant::now();
    let patience = match waited.in_vain.map(|before| before.elapsed()) {
        Some(since) if since < A_MOMENT => Duration::ZERO,
        Some(since) if since < A_WHILE => LITTLE_PATIENCE,
        _ => PATIENCE,
    };
    let mut pause = Duration::from_micros(50);
    let mut file = open(root, name).doing("opening a lock file")?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                if file.metadata().doing("locking")?.nlink() > 0 {
                    waited.in_vain = None;
                    return Ok(file);
                }
                // Someone deleted the file: others lock the new one by now.
                file = open(root, name).doing("opening a lock file")?;
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                if start.elapsed() >= patience {
                    if !patience.is_zero() {
                        waited.in_vain = Some(Instant::now());
                    }
                    let action = "waiting for another process to release its lock";
                    return Err(error(StorageErrorKind::Unavailable, action));
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(10));
            }
            Err(errno) => return Err(errno).doing("locking"),
        }
    }
}

fn open(root: &Root, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&root.locks, name, flags, PRIVATE_FILE).map(File::from)
}
