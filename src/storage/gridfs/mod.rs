//! Stored responses in MongoDB with larger bodies as GridFS files.
//!
//! [`GridFsStorage`] keeps heads, aliases, fences and groups as [`MongoStorage`](super::MongoStorage) does: the module
//! [`mongodb`](super::mongodb) describes layout, guarantees, limits and options. The difference is where bodies over
//! the inline threshold are: each is a file in a GridFS bucket, with its URL as the file's name and the response's id as
//! the file's id. The bucket has the collection's name unless
//! [`bucket`](super::MongoStorageBuilder::bucket) says otherwise. Every GridFS tool reads it:
//!
//! ```text
//! mongofiles --db web --prefix larder list https://api.example/
//! mongofiles --db web --prefix larder get https://api.example/report.pdf
//! ```
//!
//! Choose it when people or other programs read the bodies. Otherwise choose `MongoStorage`, which needs one write less
//! for each body. Other programs may use the same bucket; their files are never touched. A file is there shortly before
//! its response is published, and the file of a replaced response is deleted right after the replacement. With
//! `inline_threshold(0)` every body that is not empty is a file.
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
