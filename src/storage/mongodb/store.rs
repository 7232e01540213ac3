//! The collections of a cache, and calls to the server.

use std::fmt;
use std::future::{Future, IntoFuture};

use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::{CollectionOptions, ReadPreference, SelectionCriteria};
use mongodb::{Collection, Database};

use super::error::kind_of;
use super::opening::Opening;
use super::options::Options;
use crate::storage::{StorageError, StorageErrorKind};

/// The collections of one cache. Its methods are in the files of their subjects.
pub(super) struct Store {
    pub(super) name: &'static str,
    pub(super) options: Options,
    pub(super) database: Database,
    /// One document for each response, alias, fence and slot, and the namespace's.
    pub(super) heads: Collection<Document>,
    /// Bodies over the inline threshold, in chunks.
    pub(super) chunks: Collection<Document>,
    /// One document for each body in chunks, where bodies are GridFS files.
    pub(super) files: Option<Collection<Document>>,
    pub(super) opening: Opening,
    place: String,
}

impl Store {
    pub(super) fn new(
        name: &'static str,
        options: Options,
        database: &Database,
        with_files: bool,
        hosts: &str,
    ) -> Self {
        let collection_options = CollectionOptions::builder()
            .write_concern(options.write_concern.clone())
            .selection_criteria(options.read_preference.clone().map(SelectionCriteria::ReadPreference))
            .build();
        let collection = |name: &str| database.collection_with_options(name, collection_options.clone());
        Self {
            name,
            database: database.clone(),
            heads: collection(&options.collection),
            chunks: collection(&format!("{}.chunks", options.bucket())),
            files: with_files.then(|| collection(&format!("{}.files", options.bucket()))),
            opening: Opening::default(),
            place: format!("{hosts}{}.{}", database.name(), options.collection),
            options,
        }
    }

    /// Awaits one call of the driver, at most for the timeout. The error says what failed and where.
    ///
    /// The driver itself waits for an answer without a limit.
    pub(super) async fn call<T>(
        &self,
        doing: &str,
        operation: impl IntoFuture<Output = Result<T, Error>, IntoFuture: Send> + Send,
    ) -> Result<T, StorageError> {
        self.in_time(doing, operation.into_future()).await?.map_err(|error| self.failure(doing, error))
    }

    /// The same, for callers who handle some errors of the driver.
    pub(super) async fn in_time<T>(
        &self,
        doing: &str,
        operation: impl Future<Output = T> + Send,
    ) -> Result<T, StorageError> {
        let limit = self.options.timeout;
        tokio::time::timeout(limit, operation).await.map_err(|_| {
            self.error(StorageErrorKind::Timeout, format!("{doing}: no answer within {limit:?}"))
        })
    }

    /// The server's clock in milliseconds, for comparison with times that the server set.
    pub(super) async fn server_time(&self, doing: &str) -> Result<i64, StorageError> {
        let hello = self.call(doing, self.database.run_command(doc! { "hello": 1 })).await?;
        hello.get_datetime("localTime").map(|time| time.timestamp_millis()).map_err(|_| {
            self.error(
                StorageErrorKind::Incompatible,
                format!("{doing}: the server does not report its time"),
            )
        })
    }

    pub(super) fn failure(&self, doing: &str, error: Error) -> StorageError {
        let kind = kind_of(&error);
        let advice = match kind {
            StorageErrorKind::Denied => "; check user, password, authSource and the role (readWrite)",
            StorageErrorKind::Unavailable => "; is the server running and reachable?",
            StorageErrorKind::Full => "; make room on the server",
            StorageErrorKind::ReadOnly => "; name the whole replica set in the URL, not one member",
            _ => "",
        };
        self.error(kind, format!("{doing}{advice}")).with_source(error)
    }

    /// An error that names hosts, database and collection; no password is among them.
    pub(super) fn error(&self, kind: StorageErrorKind, what: impl fmt::Display) -> StorageError {
        StorageError::new(kind, self.name, format!("{}: {what}", self.place))
    }
}

/// Reads that decide about fences go to the primary, whichever member lookups prefer.
pub(super) fn primary() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::Primary)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("place", &self.place).finish_non_exhaustive()
    }
}
