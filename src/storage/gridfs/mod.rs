//! Stored responses in MongoDB with their bodies as GridFS files.
//!
//! [`GridFsStorage`] keeps heads, aliases, fences and groups as [`MongoStorage`](super::MongoStorage) does: the module
//! [`mongodb`](super::mongodb) tells of layout, guarantees and options. It differs in where bodies over the inline
//! threshold live: each is a file in a GridFS bucket (called like the collection unless the builder's `bucket` names
//! another), named after its URL, with the id of the response as its id. Any tool for GridFS reads it:
//!
//! ```text
//! mongofiles --db web --prefix larder list https://api.example/
//! mongofiles --db web --prefix larder get https://api.example/report.pdf
//! ```
//!
//! Choose it when people or other programs are to get at the bodies; otherwise `MongoStorage` does the same with one
//! write less for each body. A bucket may be shared with files of others, which are never touched. A file stands there
//! before its response is published, and the file of a replaced response is deleted right after. `inline_threshold(0)`
//! makes a file of every body but empty ones.
//!
//! ```no_run
//! use larder::storage::GridFsStorage;
//!
//! # async fn example() -> Result<(), larder::storage::StorageError> {
//! let storage = GridFsStorage::builder("gridfs+mongodb://localhost/web").bucket("fs").connect().await?;
//! # let _ = storage;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use mongodb::Client;
use mongodb::options::ClientOptions;

use super::mongodb::{MongoBuilder, Store, storage_over_store};
use super::{Cursor, Fence, Keyspace, Lookup, Maintained, Page, Published, StorageError, Usage};
use crate::clock::Timestamp;
use crate::entry::{Alias, EntryId, GroupId, StoredHead};
use crate::key::CacheKey;
use crate::storage::url::{Schemes, opened};

const NAME: &str = "gridfs";
const PREFIX: &str = "gridfs+";
const FILES: bool = true;

pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("gridfs+mongodb", "gridfs+mongodb://localhost/web"), ("gridfs+mongodb+srv", "")],
    open: |url| Box::pin(async move { opened(GridFsStorage::connect(url.whole).await) }),
};

/// Keeps stored responses in MongoDB, larger bodies as GridFS files. See the [module](self).
///
/// Clones are handles on the same connections.
#[derive(Clone, Debug)]
pub struct GridFsStorage {
    store: Arc<Store>,
}

impl GridFsStorage {
    /// Connects to the server that a URL names: `gridfs+mongodb://host/database?collection=...`, or `gridfs+mongodb+srv://`.
    ///
    /// # Errors
    ///
    /// When the URL makes no sense; with `strict=true` in it also when the server cannot be used.
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        Self::builder(url).connect().await
    }

    /// Options on top of those in a URL, whose own win.
    pub fn builder(url: &str) -> MongoBuilder<Self> {
        MongoBuilder::url(url)
    }

    /// A storage with options of the driver's own; as
    /// [`MongoStorage::with_options`](super::MongoStorage::with_options).
    pub fn with_options(options: ClientOptions) -> MongoBuilder<Self> {
        MongoBuilder::options(options)
    }

    /// A storage over a client of yours, just as it is.
    pub fn with_client(client: Client) -> MongoBuilder<Self> {
        MongoBuilder::client(client)
    }
}

storage_over_store!(GridFsStorage);
