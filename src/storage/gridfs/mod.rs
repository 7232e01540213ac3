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
//! let storage = GridFsStorage::builder().url("mongodb://localhost/web").bucket("fs").connect().await?;
//! # let _ = storage;
//! # Ok(())
//! # }
//! ```

use super::mongodb::{Bodies, DocumentStorage, Sealed};
use super::url::{Schemes, opened};

/// How a GridFS storage is named in URLs.
pub(crate) const SCHEMES: Schemes = Schemes {
    names: &[("gridfs+mongodb", "gridfs+mongodb://localhost/web"), ("gridfs+mongodb+srv", "")],
    open: |url| Box::pin(async move { opened(GridFsStorage::connect(url.whole).await) }),
};

/// Keeps stored responses in MongoDB, larger bodies as GridFS files. See the [module](self).
///
/// Clones are handles on the same connections.
pub type GridFsStorage = DocumentStorage<Files>;

/// Keeps larger bodies as GridFS files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Files;

impl Sealed for Files {}

impl Bodies for Files {
    const NAME: &'static str = "gridfs";
    const URL_PREFIX: &'static str = "gridfs+";
    const FILES: bool = true;
}
