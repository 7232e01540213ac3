//! Access to files relative to an open directory, never through a symbolic link.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

pub(super) const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
pub(super) const PRIVATE_DIR: Mode = Mode::RWXU;

/// Opens a directory that must be one itself, not a link to one.
pub(super) fn open_dir(at: impl AsFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty()).map(File::from)
}

/// Opens a directory, creating it for its owner alone if it is missing.
pub(super) fn make_dir(at: impl AsFd, name: &str) -> Result<File, Errno> {
    match rustix::fs::mkdirat(at.as_fd(), name, PRIVATE_DIR) {
        Ok(()) | Err(Errno::EXIST) => open_dir(at, name),
        Err(error) => open_dir(at, name).map_err(|_| error),
    }
}

/// Opens `fan/name` for reading. A FIFO planted there must not make us wait, hence NONBLOCK.
pub(super) fn open_file(at: &File, relative: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    beneath(at, relative, flags).map(File::from)
}

#[cfg(target_os = "linux")]
fn beneath(at: &File, relative: &str, flags: OFlags) -> Result<rustix::fd::OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    // Names made by us have no `..`: without links there is no other way out.
    match rustix::fs::openat2(at, relative, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Kernels before 5.6 do not know the call, and some containers forbid it.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(at, relative, flags),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn beneath(at: &File, relative: &str, flags: OFlags) -> Result<rustix::fd::OwnedFd, Errno> {
    step_by_step(at, relative, flags)
}

fn step_by_step(at: &File, relative: &str, flags: OFlags) -> Result<rustix::fd::OwnedFd, Errno> {
    match relative.split_once('/') {
        Some((fan, name)) => rustix::fs::openat(open_dir(at, fan)?, name, flags, Mode::empty()),
        None => rustix::fs::openat(at, relative, flags, Mode::empty()),
    }
}

/// Removes `fan/name`; returns whether it was there.
pub(super) fn remove_file(at: &File, relative: &str) -> Result<bool, Errno> {
    let (dir, name) = match relative.split_once('/') {
        Some((fan, name)) => match open_dir(at, fan) {
            Ok(dir) => (dir, name),
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error),
        },
        None => {
            (at.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?, relative)
        }
    };
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The length of `fan/name`, 0 where it is not there.
pub(super) fn len(at: &File, relative: &str) -> Result<u64, Errno> {
    match rustix::fs::statat(at, relative, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(u64::try_from(stat.st_size).unwrap_or_default()),
        Err(Errno::NOENT) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Removes a directory, if it is there and nothing is in it.
pub(super) fn remove_empty_dir(at: &File, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Moves a file to `fan/name`, replacing what is there and creating the fan-out directory if needed.
pub(super) fn move_file(from: &File, name: &str, to: &File, relative: &str, sync: bool) -> Result<(), Errno> {
    let Some((fan, target)) = relative.split_once('/') else {
        return rustix::fs::renameat(from, name, to, relative);
    };
    let dir = match open_dir(to, fan) {
        Err(Errno::NOENT) => make_dir(to, fan)?,
        found => found?,
    };
    rustix::fs::renameat(from, name, &dir, target)?;
    if sync { rustix::fs::fsync(&dir) } else { Ok(()) }
}

/// The names in a directory, in no order; names that are not UTF-8 are not from this backend and left out.
pub(super) fn names(dir: &File) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The names in a fan-out directory; none when it does not exist or is not a directory.
pub(super) fn names_in(at: &File, fan: &str) -> Result<Vec<String>, Errno> {
    match open_dir(at, fan) {
        Ok(dir) => names(&dir),
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
