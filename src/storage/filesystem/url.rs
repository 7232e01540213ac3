//! `file:DIRECTORY?format=json&max_bytes=...`

use std::path::Path;

use super::{FileStorage, FileStorageBuilder, Format};
use crate::storage::url::{OptionValue, Options};
use crate::storage::{StorageError, StorageErrorKind};

impl OptionValue for Format {
    const EXPECTED: &'static str = "`compact` or `json`";

    fn parse(text: &str) -> Option<Self> {
        Self::from_name(text)
    }
}

pub(crate) fn from_url(dir: &Path, mut options: Options) -> Result<FileStorage, StorageError> {
    let builder = options.set(FileStorage::builder(), "format", FileStorageBuilder::format)?;
    let builder = options.set(builder, "max_bytes", FileStorageBuilder::max_bytes)?;
    let builder = options.set(builder, "max_entries", FileStorageBuilder::max_entries)?;
    let builder = options.set(builder, "max_body", FileStorageBuilder::max_body)?;
    let builder = options.set(builder, "max_variants", FileStorageBuilder::max_variants)?;
    let builder = options.set(builder, "inline_threshold", FileStorageBuilder::inline_threshold)?;
    let builder = options.set(builder, "sync", FileStorageBuilder::sync)?;
    options.finish()?;
    if dir.as_os_str().is_empty() {
        return Err(StorageError::new(
            StorageErrorKind::Invalid,
            "file",
            "opening `file:` without a directory",
        ));
    }
    builder.open(dir)
}
