//! Where larger bodies live: the one difference between the two storages.

use std::fmt::Debug;

/// Where a [`DocumentStorage`](super::DocumentStorage) keeps bodies over the inline threshold.
///
/// [`Chunks`] and `gridfs::Files` implement it; other types cannot.
pub trait Bodies: sealed::Sealed + Clone + Debug + Send + Sync + 'static {
    /// The backend's [name](crate::storage::Storage::name).
    const NAME: &'static str;
    /// What URLs of this backend have before the driver's scheme.
    const URL_PREFIX: &'static str;
    /// Whether each of these bodies is a GridFS file, which other programs can read.
    const FILES: bool;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Keeps larger bodies in chunks that belong to the cache alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Chunks;

impl sealed::Sealed for Chunks {}

impl Bodies for Chunks {
    const NAME: &'static str = "mongodb";
    const URL_PREFIX: &'static str = "";
    const FILES: bool = false;
}
