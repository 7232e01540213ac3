//! A storage of your own in six operations, here a directory of files: checked against the whole contract, then used
//! (`cargo run --example custom_storage --features conformance`).

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use larder::entry::EntryId;
use larder::storage::conformance::{self, Fixture};
use larder::storage::key_value::Space;
use larder::storage::{ByteStore, KeyValueStorage, StorageError, StorageErrorKind};
use larder::{CacheLayer, CacheStatus};
use tokio::fs;
use tower::{Layer, ServiceExt, service_fn};

type Result<T, E = StorageError> = std::result::Result<T, E>;

/// A directory for each keyspace, a file for each value.
#[derive(Clone, Debug)]
struct Directory(PathBuf);

impl Directory {
    fn dir(&self, space: Space) -> PathBuf {
        self.0.join(space.as_str())
    }
}

fn failed(error: io::Error) -> StorageError {
    StorageError::new(StorageErrorKind::Other, "directory", "using a file").with_source(error)
}

fn found<T>(result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(failed),
    }
}

impl ByteStore for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }
    async fn get(&self, space: Space, name: &str) -> Result<Option<Bytes>> {
        Ok(found(fs::read(self.dir(space).join(name)).await)?.map(Bytes::from))
    }
    async fn put(&self, space: Space, name: &str, value: Bytes) -> Result<()> {
        // Renaming replaces the old value in one step, so that nobody ever reads half of the new one.
        let unfinished = self.0.join(EntryId::random().to_string());
        fs::create_dir_all(self.dir(space)).await.map_err(failed)?;
        fs::write(&unfinished, value).await.map_err(failed)?;
        fs::rename(unfinished, self.dir(space).join(name)).await.map_err(failed)
    }
    async fn remove(&self, space: Space, name: &str) -> Result<bool> {
        Ok(found(fs::remove_file(self.dir(space).join(name)).await)?.is_some())
    }
    async fn list(&self, space: Space, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let Some(mut files) = found(fs::read_dir(self.dir(space)).await)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        while let Some(file) = files.next_entry().await.map_err(failed)? {
            let name = file.file_name().into_string().unwrap_or_default();
            names.extend(Some(name).filter(|name| Some(name.as_str()) > after));
        }
        names.sort_unstable();
        names.truncate(limit);
        Ok(names)
    }
    async fn len(&self, space: Space) -> Result<u64> {
        Ok(self.list(space, None, usize::MAX).await?.len() as u64)
    }
    async fn clear(&self, space: Space) -> Result<()> {
        found(fs::remove_dir_all(self.dir(space)).await).map(drop)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let root = tempfile::tempdir()?;
    let storage = || KeyValueStorage::new(Directory(root.path().join(EntryId::random().to_string())));
    let holds = conformance::run(async || {
        let storage = storage();
        Fixture::new(storage.clone()).reopen(move || std::future::ready(Ok(storage.clone())))
    })
    .await;
    println!("{holds} of {} hold", conformance::REQUIREMENTS.len());

    let origin = service_fn(async |_: Request<Empty<Bytes>>| {
        Response::builder().header("cache-control", "max-age=60").body(Full::<Bytes>::from("hello"))
    });
    let client = CacheLayer::new(storage()).layer(origin);
    for _ in 0..2 {
        let response = client.clone().oneshot(Request::get("http://a.example/").body(Empty::new())?).await?;
        println!("{:?}", response.extensions().get::<CacheStatus>().map(ToString::to_string));
        response.into_body().collect().await?;
    }
    Ok(())
}
