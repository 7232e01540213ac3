//! Opening a storage by a URL.

#[cfg(feature = "redis")]
use std::pin::Pin;
use std::sync::Arc;

#[cfg(feature = "redis")]
use super::RedisStorage;
#[allow(unused_imports, reason = "for the backends that live in files")]
use super::url::{Options, path};
use super::{DynStorage, MemoryStorage, StorageError, StorageErrorKind};

/// A backend's scheme, the feature it needs, whether that is on, and an example.
const BACKENDS: &[(&str, &str, bool, &str)] = &[
    ("memory", "", true, "memory:?max_bytes=64MiB"),
    ("sqlite", "sqlite", cfg!(feature = "sqlite"), "sqlite:cache.db"),
    ("file", "filesystem", cfg!(all(feature = "filesystem", unix)), "file:directory"),
    ("mongodb", "mongodb", cfg!(feature = "mongodb"), "mongodb://localhost/web?collection=cache"),
    ("mongodb+srv", "mongodb", false, ""),
    ("gridfs+mongodb", "gridfs", cfg!(feature = "gridfs"), "gridfs+mongodb://localhost/web"),
    ("gridfs+mongodb+srv", "gridfs", false, ""),
    ("dynamodb", "dynamodb", cfg!(feature = "dynamodb"), "dynamodb://table?region=eu-central-1"),
    ("redis", "redis", cfg!(feature = "redis"), "redis://host/"),
    ("rediss", "redis", cfg!(feature = "redis"), "rediss://host/"),
    ("redis+unix", "redis", cfg!(feature = "redis"), "redis+unix:///socket"),
    ("redis+cluster", "redis", cfg!(feature = "redis"), "redis+cluster://host,host"),
    ("redis+sentinel", "redis", cfg!(feature = "redis"), "redis+sentinel://host,host/service"),
];

/// Opens the storage that a URL names: for command lines and configuration files.
///
/// | URL | storage | feature |
/// |---|---|---|
/// | `memory:` | [`MemoryStorage`] | |
/// | `sqlite:PATH`, or `sqlite:` for a private one in memory | `SqliteStorage` | `sqlite` |
/// | `file:DIRECTORY` | `FileStorage` | `filesystem` |
/// | `mongodb://HOST/DATABASE`, `mongodb+srv:` | `MongoStorage` | `mongodb` |
/// | `gridfs+mongodb://HOST/DATABASE`, `gridfs+mongodb+srv:` | `GridFsStorage` | `gridfs` |
/// | `dynamodb://TABLE?region=REGION` | `DynamoStorage` | `dynamodb` |
/// | `redis://HOST/`, `rediss:`, `redis+unix:`, `redis+cluster:`, `redis+sentinel:`, as the `redis` module says | `RedisStorage` | `redis` |
///
/// Options follow as a query, named as the methods of the storage or its builder are: `memory:?max_bytes=64MiB`.
/// Sizes may end in `KiB`, `MiB` or `GiB`, durations in `ms`, `s`, `m`, `h` or `d`; switches are `true` or `false`.
/// Paths and values may be percent-encoded, and must be where they contain `%`, `?` or `&`. What is no option of a
/// networked storage goes to its driver.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let storage = larder::storage::open("memory:?max_bytes=64MiB&max_entries=10000").await?;
/// assert_eq!(storage.name(), "memory");
///
/// let error = larder::storage::open("memory:?max_byte=1").await.unwrap_err();
/// assert!(error.to_string().contains("max_bytes"));
/// # Ok::<_, larder::storage::StorageError>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// [`StorageErrorKind::Invalid`] for a scheme, option or value that makes no sense, or a backend that is not compiled
/// in: the message lists what is possible. Otherwise when the storage cannot be opened.
pub async fn open(url: &str) -> Result<Arc<dyn DynStorage>, StorageError> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(no_such_backend(url, "it names no backend"));
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    match scheme {
        "memory" if place.is_empty() => {
            Ok(Arc::new(MemoryStorage::from_url(Options::parse("memory", query)?)?))
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let (path, options) = (path(place)?, Options::parse("sqlite", query)?);
            blocking(move || super::sqlite::from_url(&path, options)).await
        }
        #[cfg(all(feature = "filesystem", unix))]
        "file" => {
            let (path, options) = (path(place)?, Options::parse("file", query)?);
            blocking(move || super::filesystem::from_url(&path, options)).await
        }
        #[cfg(feature = "mongodb")]
        "mongodb" | "mongodb+srv" => Ok(Arc::new(super::MongoStorage::connect(url).await?)),
        #[cfg(feature = "gridfs")]
        "gridfs+mongodb" | "gridfs+mongodb+srv" => Ok(Arc::new(super::GridFsStorage::connect(url).await?)),
        #[cfg(feature = "dynamodb")]
        "dynamodb" => Ok(Arc::new(super::DynamoStorage::connect(url).await?)),
        #[cfg(feature = "redis")]
        _ if super::redis::is_scheme(scheme) => {
            let opening: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(RedisStorage::connect(url));
            let storage: RedisStorage = opening.await?;
            Ok(Arc::new(storage))
        }
        _ => {
            let missing = BACKENDS.iter().find(|(name, _, on, _)| *name == scheme && !on);
            Err(match missing {
                Some((_, feature, ..)) => {
                    no_such_backend(url, &format!("it needs the feature `{feature}`, which is off"))
                }
                None => no_such_backend(url, "there is no such backend"),
            })
        }
    }
}

/// Opening files may wait for the disk.
#[cfg(any(feature = "sqlite", all(feature = "filesystem", unix)))]
async fn blocking<S: super::Storage>(
    open: impl FnOnce() -> Result<S, StorageError> + Send + 'static,
) -> Result<Arc<dyn DynStorage>, StorageError> {
    match tokio::task::spawn_blocking(open).await {
        Ok(opened) => Ok(Arc::new(opened?)),
        Err(error) => {
            Err(StorageError::new(StorageErrorKind::Other, "any", "opening the storage").with_source(error))
        }
    }
}

/// The URL may carry a password, and one that is malformed may have it anywhere: only a scheme that is known is shown.
fn no_such_backend(url: &str, why: &str) -> StorageError {
    let known: Vec<_> =
        BACKENDS.iter().filter(|(_, _, on, _)| *on).map(|(.., example)| format!("`{example}`")).collect();
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let shown = BACKENDS.iter().find(|(name, ..)| *name == scheme);
    let what = shown.map_or_else(|| "a storage".to_owned(), |(name, ..)| format!("`{name}:`"));
    let action = format!("opening {what}: {why}; possible are {}", known.join(", "));
    StorageError::new(StorageErrorKind::Invalid, "any", action)
}
