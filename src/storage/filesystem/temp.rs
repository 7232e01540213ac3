//! Temporary files. Their writer holds a lock on them, so that the remains of dead writers can be recognised.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::dir::{PRIVATE_FILE, move_file};
use super::root::Root;
use crate::random;

/// A file that is removed when it is dropped before it was moved to its place.
#[derive(Debug)]
pub(super) struct Temp {
    root: Arc<Root>,
    name: String,
    file: File,
    placed: bool,
}

impl Temp {
    pub(super) fn create(root: &Arc<Root>) -> io::Result<Self> {
        loop {
            let name = format!("{:032x}", random::bits128());
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&root.temp, name.as_str(), flags, PRIVATE_FILE) {
                Ok(file) => File::from(file),
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(error.into()),
            };
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            let temp = Self { root: Arc::clone(root), name, file, placed: false };
            // A sweep can come between creation and lock; it has then removed the file.
            match locked {
                Ok(()) if temp.file.metadata()?.nlink() > 0 => return Ok(temp),
                Ok(()) | Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// Moves the file to `relative` below `to`.
    pub(super) fn place(mut self, to: &File, relative: &str, sync: bool) -> io::Result<()> {
        if sync {
            self.file.sync_data()?;
        }
        move_file(&self.root.temp, &self.name, to, relative, sync)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.placed {
            // Failing leaves a file that the next sweep removes.
            let _ = rustix::fs::unlinkat(&self.root.temp, self.name.as_str(), AtFlags::empty());
        }
    }
}

/// Removes the temporary files of writers that are no more; returns how many there were.
pub(super) fn sweep(root: &Root) -> io::Result<u64> {
    let mut removed = 0;
    for name in super::dir::names(&root.temp)? {
        if name.len() != 32 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&root.temp, name.as_str(), flags, Mode::empty()) else {
            continue;
        };
        let dead = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if dead && rustix::fs::unlinkat(&root.temp, name.as_str(), AtFlags::empty()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
