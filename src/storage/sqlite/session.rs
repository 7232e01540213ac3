//! What the jobs of one storage work with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;

use super::bodies::Bodies;
use super::options::SqliteStorageBuilder;
use super::recency::Recency;

/// What the threads of one storage share beside the database.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: SqliteStorageBuilder,
    pub(super) recency: Recency,
    pub(super) bodies: Arc<Bodies>,
    /// A reader found damage: the writing thread should examine the database.
    pub(super) damaged: AtomicBool,
}

impl State {
    pub(super) fn new(options: SqliteStorageBuilder) -> Self {
        let bodies = Arc::new(Bodies::new());
        Self { options, recency: Recency::new(), bodies, damaged: AtomicBool::new(false) }
    }
}

/// What a job on the writing thread works with.
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) state: &'a State,
}
