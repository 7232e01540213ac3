#![allow(clippy::expect_used, reason = "an example")]
//! A storage of your own in six operations: here a directory of files, one per value.
//!
//! `cargo run --example custom_storage --features conformance` checks it against the whole storage contract.
//! To cache with it: `CacheLayer::new(KeyValueStorage::new(Directory::new("some/dir")))`.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bytes::Bytes;
use larder::entry::EntryId;
use larder::storage::conformance::{self, Fixture, REQUIREMENTS};
use larder::storage::key_value::Space;
use larder::storage::{ByteStore, KeyValueStorage, StorageError, StorageErrorKind};
use tokio::fs;

#[derive(Clone, Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let this = Self(root.into());
        for space in Space::ALL {
            std::fs::create_dir_all(this.0.join(space.as_str()))?;
        }
        Ok(this)
    }

    /// Names are hexadecimal digits, so they cannot lead out of the directory.
    fn path(&self, space: Space, name: &str) -> PathBuf {
        self.0.join(space.as_str()).join(name)
    }
}

fn failed(error: io::Error) -> StorageError {
    StorageError::new(StorageErrorKind::Other, "directory", "using the directory").with_source(error)
}

fn found<T>(result: io::Result<T>) -> Result<Option<T>, StorageError> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(failed),
    }
}

impl ByteStore for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    async fn get(&self, space: Space, name: &str) -> Result<Option<Bytes>, StorageError> {
        Ok(found(fs::read(self.path(space, name)).await)?.map(Bytes::from))
    }

    async fn put(&self, space: Space, name: &str, value: Bytes) -> Result<(), StorageError> {
        // Renaming replaces the old value in one step, so that nobody ever reads half of the new one.
        let unfinished = self.0.join(format!("{}.tmp", EntryId::random()));
        fs::write(&unfinished, value).await.map_err(failed)?;
        fs::rename(unfinished, self.path(space, name)).await.map_err(failed)
    }

    async fn remove(&self, space: Space, name: &str) -> Result<bool, StorageError> {
        Ok(found(fs::remove_file(self.path(space, name)).await)?.is_some())
    }

    async fn list(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        let mut files = fs::read_dir(self.0.join(space.as_str())).await.map_err(failed)?;
        while let Some(file) = files.next_entry().await.map_err(failed)? {
            names.extend(
                file.file_name().into_string().ok().filter(|name| after.is_none_or(|after| &**name > after)),
            );
        }
        names.sort_unstable();
        names.truncate(limit);
        Ok(names)
    }

    async fn len(&self, space: Space) -> Result<u64, StorageError> {
        Ok(self.list(space, None, usize::MAX).await?.len() as u64)
    }

    async fn clear(&self, space: Space) -> Result<(), StorageError> {
        for name in self.list(space, None, usize::MAX).await? {
            self.remove(space, &name).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    conformance::run(async || {
        let root = dir.path().join(EntryId::random().to_string());
        let storage = KeyValueStorage::new(Directory::new(root).expect("new directories"));
        Fixture::new(storage.clone()).reopen(move || std::future::ready(Ok(storage.clone())))
    })
    .await;
    println!("all {} requirements hold", REQUIREMENTS.len());
    Ok(())
}
