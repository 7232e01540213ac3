//! Files that appear whole, under a name that did not exist, even while other processes work there.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{AtFlags, OFlags};

use super::dir::PRIVATE_FILE;
use super::layout::MARKER;

/// Writes a whole file under a name that does not exist yet; `false` when another process was faster.
pub(super) fn put_new(dir: &File, name: &str, content: &[u8]) -> io::Result<bool> {
    let temporary = temporary_name();
    let linked = create(dir, &temporary, content)
        .and_then(|()| Ok(rustix::fs::linkat(dir, temporary.as_str(), dir, name, AtFlags::empty())?));
    match rustix::fs::unlinkat(dir, temporary.as_str(), AtFlags::empty()) {
        Ok(()) => {}
        Err(_) if linked.is_err() => {}
        Err(errno) => return Err(errno.into()),
    }
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn create(dir: &File, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::from(rustix::fs::openat(dir, name, flags, PRIVATE_FILE)?).write_all(content)
}

pub(super) fn temporary_name() -> String {
    format!("{MARKER}.{:016x}", crate::random::bits64())
}
