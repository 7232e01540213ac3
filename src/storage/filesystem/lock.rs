//! The lock of one fan-out directory, and changes that keep its counters right.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::storage::{Keyspace, StorageError, StorageErrorKind};

use super::Shared;
use super::dir::PRIVATE_FILE;
use super::error::{Doing, error};
use super::groups::Counted;
use super::layout::{INVALIDATED, fan_name};
use super::root::Root;
use super::state::Counters;

/// How long one and the same holder of a lock is waited for; a stopped process must not stop us. While processes take
/// turns it is only a matter of time: on a busy machine a queue of them takes longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one waits however many others take their turns.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest pause between two attempts, and the same for those who have waited for a while: who waits longer asks more
/// often, because nothing else puts him before those who have just come.
const PAUSE: Duration = Duration::from_millis(10);
const SHORT_PAUSE: Duration = Duration::from_millis(1);
const A_WHILE: Duration = Duration::from_secs(1);

/// One lock: threads wait at the mutex, processes at the file.
#[derive(Debug, Default)]
pub(super) struct Lock(Mutex<Waited>);

/// What the threads of this process know of the other processes at the file.
#[derive(Debug, Default)]
pub(super) struct Waited {
    /// The turn that somebody waited for in vain: until it ends the next ones do not wait at all, else they would queue
    /// up behind each other.
    in_vain: Option<Turn>,
}

/// Tells one holder of a lock from the next: a number that each of them changes.
type Turn = Option<u64>;

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
        let mut process = stripe(shared, fan)?.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = || root.state.turn(fan).ok();
        let file = lock_file(root, &fan_name(fan), &mut process, turn)?;
        Ok(Self { root, fan, _file: file, _process: process })
    }

    /// `None` where somebody else has it.
    pub(super) fn try_take(
        shared: &'a Shared,
        root: &'a Arc<Root>,
        fan: u8,
    ) -> Result<Option<Self>, StorageError> {
        let process = match stripe(shared, fan)?.0.try_lock() {
            Ok(process) => process,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let file = open(root, &fan_name(fan)).doing("opening a lock file")?;
        let locked = try_lock(&file).doing("locking")?;
        Ok((locked == Attempt::Locked).then_some(Self { root, fan, _file: file, _process: process }))
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
    let turn = || root.invalidated.counted().ok().map(Counted::as_of);
    let _file = lock_file(root, INVALIDATED, &mut process, turn)?;
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

fn stripe(shared: &Shared, fan: u8) -> Result<&Lock, StorageError> {
    shared.stripes.get(usize::from(fan)).ok_or_else(|| error(StorageErrorKind::Other, "choosing a lock"))
}

/// Waits until the lock is ours. `turn` tells whose it is meanwhile.
fn lock_file(
    root: &Root,
    name: &str,
    waited: &mut Waited,
    turn: impl Fn() -> Turn,
) -> Result<File, StorageError> {
    let start = Instant::now();
    let mut held = (turn(), start);
    let mut pause = Duration::from_micros(50);
    let mut file = open(root, name).doing("opening a lock file")?;
    loop {
        match try_lock(&file).doing("locking")? {
            Attempt::Locked => {
                waited.in_vain = None;
                return Ok(file);
            }
            Attempt::Deleted => {
                file = open(root, name).doing("opening a lock file")?;
                continue;
            }
            Attempt::Held => {}
        }
        let now = turn();
        if held.0 != now {
            held = (now, Instant::now());
        }
        if waited.in_vain == Some(now) || held.1.elapsed() >= PATIENCE {
            waited.in_vain = Some(now);
            return Err(in_vain("waiting for another process to release its lock"));
        }
        if start.elapsed() >= LONGEST {
            return Err(in_vain("waiting for a lock that many processes take in turn"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(if start.elapsed() < A_WHILE { PAUSE } else { SHORT_PAUSE });
    }
}

fn in_vain(action: &'static str) -> StorageError {
    error(StorageErrorKind::Unavailable, action)
}

/// What became of asking for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Locked,
    Held,
    /// Someone deleted the file: others lock the new one by now.
    Deleted,
}

fn try_lock(file: &File) -> io::Result<Attempt> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) if file.metadata()?.nlink() > 0 => Ok(Attempt::Locked),
        Ok(()) => Ok(Attempt::Deleted),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(Attempt::Held),
        Err(errno) => Err(errno.into()),
    }
}

fn open(root: &Root, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&root.locks, name, flags, PRIVATE_FILE).map(File::from)
}
