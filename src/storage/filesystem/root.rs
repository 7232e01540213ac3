//! The root directory: opening it, making sure that it is a cache, and noticing when it is no longer the same.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::storage::{Keyspace, StorageError, StorageErrorKind};

use super::dir::make_dir;
use super::error::{Doing, error};
use super::invalidated::Invalidations;
use super::layout::{ALIASES, BODIES, INVALIDATED, LOCKS, RESPONSES, STATE, TEMP};
use super::marker::claim;
use super::new_file::put_new;
use super::options::Format;
use super::state::State;

/// An open root with its subdirectories. All files are opened relative to these, even if the path changes.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    identity: (u64, u64),
    pub(super) format: Format,
    responses: File,
    pub(super) bodies: File,
    aliases: File,
    pub(super) temp: File,
    pub(super) locks: File,
    pub(super) state: State,
    pub(super) invalidated: Invalidations,
    /// The directory itself.
    pub(super) dir: File,
}

impl Root {
    pub(super) fn open(path: &Path, wanted: Option<Format>) -> Result<Self, StorageError> {
        let shown = path.display();
        let dir = open_root(path)?;
        let (format, new) = claim(&dir, path, wanted)?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != format) {
            let action = format!(
                "opening {shown}: it holds the {} format, not {}; open it without naming a format, or choose another directory",
                format.as_str(),
                wanted.as_str(),
            );
            return Err(error(StorageErrorKind::Incompatible, action));
        }
        let sub = |name: &str| make_dir(&dir, name).doing(&format!("opening {shown}/{name}"));
        let metadata = dir.metadata().doing(&format!("opening {shown}"))?;
        let (responses, aliases) = (sub(RESPONSES)?, sub(ALIASES)?);
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            format,
            bodies: sub(BODIES)?,
            temp: sub(TEMP)?,
            locks: sub(LOCKS)?,
            state: open_numbers(&dir, STATE, State::from_file, || State::initial(!new, format))
                .doing(&format!("opening {shown}/{STATE}"))?,
            invalidated: open_numbers(&dir, INVALIDATED, Invalidations::from_file, || {
                Invalidations::initial(new)
            })
            .doing(&format!("opening {shown}/{INVALIDATED}"))?,
            dir,
            responses,
            aliases,
            path: path.to_owned(),
        })
    }

    /// The directory of a keyspace's records.
    pub(super) fn keyspace(&self, keyspace: Keyspace) -> &File {
        match keyspace {
            Keyspace::Responses => &self.responses,
            Keyspace::Aliases => &self.aliases,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads here and the shared numbers are still in place.
    pub(super) fn is_current(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
            && self.state.is_linked()
            && self.invalidated.is_linked()
    }
}

/// Opens the directory itself and refuses what others could have prepared.
fn open_root(path: &Path) -> Result<File, StorageError> {
    let shown = path.display();
    let open = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty()).map(File::from)
    };
    let dir = match open() {
        Err(Errno::NOENT) => {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(path).doing(&format!("creating {shown}"))?;
            open()
        }
        result => result,
    };
    let dir = match dir {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            let action =
                format!("opening {shown}: it is a symbolic link or no directory; name the directory itself");
            return Err(error(StorageErrorKind::Denied, action));
        }
        result => result.doing(&format!("opening {shown}"))?,
    };
    let metadata = dir.metadata().doing(&format!("opening {shown}"))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let action = format!("opening {shown}: it belongs to user {}, not to this one", metadata.uid());
        return Err(error(StorageErrorKind::Denied, action));
    }
    if metadata.mode() & 0o002 != 0 {
        let action = format!("opening {shown}: everyone may write to it; remove that permission (chmod o-w)");
        return Err(error(StorageErrorKind::Denied, action));
    }
    Ok(dir)
}

/// Opens a file of numbers that all processes share, creating it where it is missing or none.
///
/// Nothing can have been stored without the numbers. But if they were lost, the contents are unknown: `initial`
/// says how they start.
fn open_numbers<T>(
    dir: &File,
    name: &str,
    from_file: impl Fn(File) -> std::io::Result<Option<T>>,
    initial: impl Fn() -> Vec<u8>,
) -> std::io::Result<T> {
    for _ in 0..8 {
        match rustix::fs::openat(dir, name, number_flags(OFlags::RDWR), Mode::empty()) {
            Ok(file) => match from_file(File::from(file))? {
                Some(numbers) => return Ok(numbers),
                None => rustix::fs::unlinkat(dir, name, AtFlags::empty())?,
            },
            Err(Errno::NOENT) => {
                put_new(dir, name, &initial())?;
            }
            // A read-only directory can still be read.
            Err(Errno::ROFS | Errno::ACCESS) => {
                let file = rustix::fs::openat(dir, name, number_flags(OFlags::RDONLY), Mode::empty())?;
                if let Some(numbers) = from_file(File::from(file))? {
                    return Ok(numbers);
                }
                return Err(Errno::ROFS.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::BUSY.into())
}

fn number_flags(access: OFlags) -> OFlags {
    access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC
}
