//! Opening a storage by a URL.

use std::sync::Arc;

use super::url::{Schemes, Url};
use super::{DynStorage, StorageError, StorageErrorKind};

/// A backend, compiled in or not.
struct Backend {
    /// The feature it needs, called like its module.
    feature: &'static str,
    /// What its schemes begin with, up to the first `+`.
    words: &'static [&'static str],
    /// `None` where it is not compiled in.
    schemes: Option<&'static Schemes>,
}

/// Names each backend: its module, the condition for it, and what its schemes begin with.
macro_rules! backends {
    ($($module:ident if $condition:meta: $words:expr;)*) => {
        const BACKENDS: &[Backend] = &[$(Backend {
            feature: stringify!($module),
            words: &$words,
            #[cfg($condition)]
            schemes: Some(&super::$module::SCHEMES),
            #[cfg(not($condition))]
            schemes: None,
        }),*];
    };
}

backends! {
    memory if all(): ["memory"];
    sqlite if feature = "sqlite": ["sqlite"];
    filesystem if all(feature = "filesystem", unix): ["file"];
    mongodb if feature = "mongodb": ["mongodb"];
    gridfs if feature = "gridfs": ["gridfs"];
    dynamodb if feature = "dynamodb": ["dynamodb"];
    redis if feature = "redis": ["redis", "rediss", "valkey", "valkeys"];
}

/// Opens the storage that a URL names: for command lines and configuration files.
///
/// | URL | storage | feature |
/// |---|---|---|
/// | `memory:` | [`MemoryStorage`](super::MemoryStorage) | |
/// | `sqlite:PATH`, or `sqlite:` for a private one in memory | `SqliteStorage` | `sqlite` |
/// | `file:DIRECTORY` | `FileStorage` | `filesystem` |
/// | `mongodb://HOST/DATABASE`, `mongodb+srv:` | `MongoStorage` | `mongodb` |
/// | `gridfs+mongodb://HOST/DATABASE`, `gridfs+mongodb+srv:` | `GridFsStorage` | `gridfs` |
/// | `dynamodb://TABLE?region=REGION` | `DynamoStorage` | `dynamodb` |
/// | `redis://HOST/`, `rediss:`, `redis+unix:`, `redis+cluster:`, `redis+sentinel:`, as the `redis` module says | `RedisStorage` | `redis` |
///
/// Options are in the query, under the names of the builder's methods: `memory:?max_bytes=64MiB`.
/// Sizes may end in `KiB`, `MiB` or `GiB`, durations in `ms`, `s`, `m`, `h` or `d`; switches are `true` or `false`.
/// Paths and values may be percent-encoded. They must be if they contain `%`, `?` or `&`. A networked storage passes
/// unknown options to its driver.
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
/// [`StorageErrorKind::Invalid`] for an invalid scheme, option or value, or a backend that is not compiled in: the
/// message lists what is possible. Otherwise when the storage cannot be opened.
pub async fn open(url: &str) -> Result<Arc<dyn DynStorage>, StorageError> {
    let Some(url) = Url::split(url) else {
        return Err(no_such_backend(None, "it names no backend"));
    };
    match schemes().find(|(_, (name, _))| *name == url.scheme) {
        Some((schemes, _)) => (schemes.open)(url).await,
        None => Err(not_there(url.scheme)),
    }
}

/// All schemes, each with what opens it and its example.
fn schemes() -> impl Iterator<Item = (&'static Schemes, (&'static str, &'static str))> {
    let there = BACKENDS.iter().filter_map(|backend| backend.schemes);
    there.flat_map(|schemes| schemes.names.iter().map(move |name| (schemes, *name)))
}

fn not_there(scheme: &str) -> StorageError {
    let first = scheme.split('+').next().unwrap_or_default();
    let mut words =
        BACKENDS.iter().flat_map(|backend| backend.words.iter().map(move |word| (backend, *word)));
    match words.find(|(backend, word)| *word == first && backend.schemes.is_none()) {
        Some((backend, word)) => {
            no_such_backend(Some(word), &format!("it needs the feature `{}`, which is off", backend.feature))
        }
        None => no_such_backend(None, "there is no such backend"),
    }
}

/// The URL may contain a password, at any place if it is malformed. So the error shows only known words.
fn no_such_backend(word: Option<&str>, why: &str) -> StorageError {
    let examples = schemes().map(|(_, (_, example))| example).filter(|example| !example.is_empty());
    let known: Vec<_> = examples.map(|example| format!("`{example}`")).collect();
    let what = word.map_or_else(|| "a storage".to_owned(), |word| format!("`{word}:`"));
    let action = format!("opening {what}: {why}; possible are {}", known.join(", "));
    StorageError::new(StorageErrorKind::Invalid, "", action)
}
