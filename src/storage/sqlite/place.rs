//! Where the database is.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::error::{Fault, NAME};
use crate::random;
use crate::storage::{StorageError, StorageErrorKind};

/// Where the database is.
#[derive(Debug)]
pub(super) enum Place {
    Memory,
    File(PathBuf),
    /// Deleted on drop.
    Temporary(PathBuf),
}

impl Place {
    /// The path is made absolute: a relative one could begin with `file:`, which SQLite would read as a URI, or be
    /// one of its special names.
    pub(super) fn file(path: &Path) -> Result<Self, StorageError> {
        let absolute =
            std::path::absolute(path).map_err(|error| Fault::from(error).during("opening", path))?;
        Ok(Self::File(absolute))
    }

    pub(super) fn temporary() -> Self {
        Self::Temporary(std::env::temp_dir().join(format!("larder-{:032x}.db", random::bits128())))
    }

    /// The path, where there is a file.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::File(path) | Self::Temporary(path) => Some(path),
        }
    }

    /// The place in words.
    pub(super) fn shown(&self) -> &Path {
        self.path().unwrap_or(Path::new("the database in memory"))
    }

    /// The bytes of all files of the database, which includes the write-ahead log.
    pub(super) fn size(&self) -> Result<Option<u64>, io::Error> {
        let Some(path) = self.path() else { return Ok(None) };
        let log = std::fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len());
        Ok(Some(std::fs::metadata(path)?.len() + log))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self::Temporary(path) = self else { return };
        // What remains here is cleaned with the temporary directory.
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(beside(path, suffix));
        }
    }
}

/// Creates an empty file for the owner alone; SQLite gives its log the same permissions. Returns whether the file is
/// new.
pub(super) fn create(path: &Path) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses a database that others could have prepared, and one whose log or journal they could.
#[cfg(unix)]
pub(super) fn check_owner(path: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = beside(path, suffix);
        let metadata = match std::fs::symlink_metadata(&file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let denied = |what: &str| {
            let detail = format!("{} {what}; trust_file(true) opens it anyway", file.display());
            Err(Fault::new(StorageErrorKind::Denied, detail))
        };
        if metadata.is_symlink() {
            return denied("is a symbolic link");
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return denied(&format!("belongs to user {}, not to this one", metadata.uid()));
        }
        if metadata.mode() & 0o002 != 0 {
            return denied("may be written by everyone");
        }
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn check_owner(_path: &Path) -> Result<(), Fault> {
    Ok(())
}

/// Whether there is a write-ahead log with something in it.
pub(super) fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The file of this name's database in the user's cache directory; makes the directory.
pub(super) fn user_cache_file(app_name: &str) -> Result<PathBuf, StorageError> {
    let invalid = |message: String| StorageError::new(StorageErrorKind::Invalid, NAME, message);
    let mut components = Path::new(app_name).components();
    let (Some(Component::Normal(name)), None) = (components.next(), components.next()) else {
        return Err(invalid(format!("{app_name:?} is not the name of a single directory")));
    };
    let base =
        user_cache_dir().ok_or_else(|| invalid("the user has no cache directory: set a path".into()))?;
    let directory = base.join(name);
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory).map_err(|error| Fault::from(error).during("creating", &directory))?;
    Ok(directory.join("larder.db"))
}

/// This is too little for a dependency.
fn user_cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        std::env::home_dir().map(|home| home.join("Library").join("Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
