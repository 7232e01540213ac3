//! The locks of one directory: threads wait at a mutex, processes at a lock file.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::clock;
use crate::storage::{StorageError, StorageErrorKind};

use super::dir::PRIVATE_FILE;
use super::error::{Doing, error};
use super::invalidated::Counted;
use super::layout::{FANS, INVALIDATED, fan_name};
use super::root::Root;

/// How long one and the same holder of a lock is waited for; a stopped process must not stop us. While processes take
/// turns it is only a matter of time: on a busy machine a queue of them takes longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one waits however many others take their turns.
const LONGEST: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_micros(50);
/// The longest pause between two attempts, and the longest pause after a while of waiting. A process that has waited longer
/// asks more often, because nothing else puts it before newer ones.
const PAUSE: Duration = Duration::from_millis(10);
const SHORT_PAUSE: Duration = Duration::from_millis(1);
const A_WHILE: Duration = Duration::from_secs(1);

/// One lock: threads wait at the mutex, processes at the file.
#[derive(Debug, Default)]
struct Lock(Mutex<Waited>);

/// What the threads of this process know of the other processes at the file.
#[derive(Debug, Default)]
struct Waited {
    /// The turn that a thread waited for without success. Until it ends the next threads do not wait at all, because they
    /// would queue up behind each other.
    in_vain: Option<Turn>,
}

/// Tells one holder of a lock from the next: a number that each of them changes. Between two changes it is 0 for all of
/// them: after a wait in vain for one at 0, the next ones give up on any holder at 0 until they get the lock themselves.
type Turn = Option<u64>;

/// The locks of one directory.
#[derive(Debug)]
pub(super) struct Locks {
    /// One for each fan-out directory: threads wait here, processes at the lock files.
    fans: Box<[Lock]>,
    /// The same for the file of invalidations.
    invalidated: Lock,
}

impl Locks {
    pub(super) fn new() -> Self {
        let fans = std::iter::repeat_with(Lock::default).take(FANS).collect();
        Self { fans, invalidated: Lock::default() }
    }

    pub(super) fn take<'a>(&'a self, root: &'a Arc<Root>, fan: u8) -> Result<Locked<'a>, StorageError> {
        let mut process = self.fan(fan)?.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = || root.state.turn(fan).ok();
        let file = lock_file(root, &fan_name(fan), &mut process, turn)?;
        Ok(Locked { root, fan, _file: file, _process: process })
    }

    /// `None` if another process has it.
    pub(super) fn try_take<'a>(
        &'a self,
        root: &'a Arc<Root>,
        fan: u8,
    ) -> Result<Option<Locked<'a>>, StorageError> {
        let process = match self.fan(fan)?.0.try_lock() {
            Ok(process) => process,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let file = open(root, &fan_name(fan)).doing("opening a lock file")?;
        let locked = try_lock(&file).doing("locking")?;
        Ok((locked == Attempt::Locked).then_some(Locked { root, fan, _file: file, _process: process }))
    }

    /// Does `work` while no other thread and no other process changes the file of invalidations.
    pub(super) fn with_invalidated<T>(
        &self,
        root: &Root,
        work: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StorageError> {
        let mut process = self.invalidated.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = || root.invalidated.counted().ok().map(Counted::as_of);
        let _file = lock_file(root, INVALIDATED, &mut process, turn)?;
        work().doing("writing the file of invalidations")
    }

    fn fan(&self, fan: u8) -> Result<&Lock, StorageError> {
        self.fans.get(usize::from(fan)).ok_or_else(|| error(StorageErrorKind::Other, "choosing a lock"))
    }
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

/// Waits until the lock is ours. `turn` tells whose it is meanwhile.
fn lock_file(
    root: &Root,
    name: &str,
    waited: &mut Waited,
    turn: impl Fn() -> Turn,
) -> Result<File, StorageError> {
    let start = Instant::now();
    let mut held = (turn(), start);
    let mut attempts = 0_u32;
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
        let longest = if start.elapsed() < A_WHILE { PAUSE } else { SHORT_PAUSE };
        std::thread::sleep(clock::back_off(FIRST_PAUSE, attempts, longest));
        attempts = attempts.saturating_add(1);
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
