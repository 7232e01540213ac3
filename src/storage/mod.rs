//! The storages for responses, and how to open, list, copy and clean them.
//!
//! | storage | feature | choose it for | not for |
//! |---|---|---|---|
//! | [`MemoryStorage`] | always available | one process, the fastest hits, nothing to clean up | responses to keep over a restart |
//! | `SqliteStorage` | `sqlite` (default) | programs on one machine: one file, several processes, plain SQL to look inside | network file systems |
//! | `FileStorage` | `filesystem` | large bodies; entries to read, diff and commit as JSON | very many small entries; Windows |
//! | `RedisStorage` | `redis` | several machines, short-lived entries, a memory limit that Redis enforces | responses that must not be evicted |
//! | `MongoStorage` | `mongodb` | several machines, entries to query as documents | the lowest latency |
//! | `GridFsStorage` | `gridfs` | large bodies beside other GridFS files, readable by its tools | mostly small bodies |
//! | `DynamoStorage` | `dynamodb` | several machines on AWS without a server to run | large bodies: 400 KB an item |
//! | [`KeyValueStorage`] | always available | your own store that can get, put, remove and list | |
//!
//! Each storage has a builder with its options. [`open`](fn@open) opens a storage by a URL, for command lines and
//! configuration files. The page of each storage's module describes its layout, its guarantees and its limits.
//!
//! [`Storage`] is the trait that they all implement, and [contract] describes it in prose. [`DynStorage`] is the same as
//! an object. [`StorageExt`] adds methods to every storage: listing as a stream, copying from one storage to another.
//!
//! ```
//! use larder::CacheLayer;
//! use larder::storage::{MemoryStorage, StorageExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let storage = MemoryStorage::new();
//! let layer = CacheLayer::new(storage.clone());
//! // Clones are handles on the same data.
//! assert_eq!(storage.len().await?, 0);
//! # let _ = layer;
//! # Ok::<_, larder::storage::StorageError>(())
//! # }).unwrap();
//! ```
//!
//! # What a reader of the store sees
//!
//! No storage encrypts. A reader of the store sees the heads and bodies of responses, and the keys. A key has the method
//! and the URI **with its query**, unencrypted. Queries often contain tokens and signatures. Userinfo is not stored. Keys
//! and heads contain credentials, partitions and secret selecting fields only as hashes, keyed with
//! [`Policy::secret`](crate::Policy::secret). The secret is empty by default, and a reader can then check guesses against
//! the hashes. Set it if others can read the store.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
mod copy;
mod dynamic;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod error;
mod ext;
#[cfg(all(feature = "filesystem", unix))]
pub mod filesystem;
#[cfg(feature = "gridfs")]
pub mod gridfs;
pub mod key_value;
mod kit;
mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
mod open;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod url;

pub use contract::{
    BodyReader, BodyWriter, Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, Storage, Usage,
};
pub use copy::Copied;
pub use dynamic::{AnyReader, AnyWriter, DynStorage, IntoStorage};
#[cfg(feature = "dynamodb")]
pub use dynamodb::{DynamoStorage, DynamoStorageBuilder};
pub use error::{StorageError, StorageErrorKind};
pub use ext::{Pages, StorageExt};
#[cfg(all(feature = "filesystem", unix))]
pub use filesystem::{FileStorage, FileStorageBuilder};
#[cfg(feature = "gridfs")]
pub use gridfs::GridFsStorage;
pub use key_value::{ByteStore, KeyValueStorage, KeyValueStorageBuilder};
pub use memory::{MemoryReader, MemoryStorage, MemoryStorageBuilder, MemoryWriter};
#[cfg(feature = "mongodb")]
pub use mongodb::{MongoStorage, MongoStorageBuilder};
pub use open::open;
#[cfg(feature = "redis")]
pub use redis::{RedisStorage, RedisStorageBuilder};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteStorage, SqliteStorageBuilder};
