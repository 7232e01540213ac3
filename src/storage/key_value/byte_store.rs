//! What a storage is made of: a store of named values.

use std::fmt;

use bytes::Bytes;

use crate::storage::StorageError;

/// A store of named values: all that is needed for a storage of your own.
///
/// A map, a table, a bucket or a directory will do. Names consist of lower-case ASCII letters, digits and `-`, and are at
/// most 120 bytes long. Values are up to 300 KiB, or more where many variants of a response are stored inline.
///
/// The operations must be as atomic as a map's are: a value that is being replaced is read as the old one or the new
/// one. Nothing else is asked for; where a value is lost or damaged, the cache forgets a response. Only the
/// [marks](Space::Marks) are to be kept for as long as responses are: one that is lost can make a response valid again
/// that was invalidated.
///
/// `examples/custom_storage.rs` shows one in full.
pub trait ByteStore: fmt::Debug + Send + Sync + 'static {
    /// A short lower-case name for logs and errors.
    fn name(&self) -> &'static str;

    /// The value of this name.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn get(
        &self,
        space: Space,
        name: &str,
    ) -> impl Future<Output = Result<Option<Bytes>, StorageError>> + Send;

    /// Stores or replaces the value of this name.
    ///
    /// # Errors
    ///
    /// When it could not be stored.
    fn put(
        &self,
        space: Space,
        name: &str,
        value: Bytes,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Removes the value of this name. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn remove(&self, space: Space, name: &str) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// The first `limit` names after `after`, or from the first one on, in ascending order of their bytes.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn list(
        &self,
        space: Space,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<String>, StorageError>> + Send;

    /// How many values there are.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn len(&self, space: Space) -> impl Future<Output = Result<u64, StorageError>> + Send;

    /// Removes all values.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked; some may then be gone.
    fn clear(&self, space: Space) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// A keyspace of a [`ByteStore`]: give each its own map, table, prefix or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Space {
    /// One value per key: the heads of its responses, and their bodies as far as they are small.
    Responses,
    /// One value per redirect alias.
    Aliases,
    /// The chunks of large bodies.
    Bodies,
    /// A few small values that say what was invalidated.
    Marks,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Responses, Self::Aliases, Self::Bodies, Self::Marks];

    /// A name for a table or directory: `responses`, `aliases`, `bodies` or `marks`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Aliases => "aliases",
            Self::Bodies => "bodies",
            Self::Marks => "marks",
        }
    }
}
