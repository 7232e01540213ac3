//! Databases of a real MongoDB for tests, each test its own.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use larder::storage::{DynStorage, GridFsStorage, MongoStorage, MongoStorageBuilder, StorageError};
use mongodb::Client;
use mongodb::bson::Document;
use mongodb::{Collection, Database};

/// The server to test with. Without one the test says that it is skipped, unless it must not be.
pub(crate) fn server() -> Option<String> {
    match std::env::var("MONGODB_URL") {
        Ok(url) => Some(url),
        Err(_) if std::env::var("LARDER_REQUIRE_SERVERS").is_ok_and(|value| value == "1") => {
            panic!("LARDER_REQUIRE_SERVERS is set, and MONGODB_URL is not")
        }
        Err(_) => {
            println!("skipped: no MONGODB_URL");
            None
        }
    }
}

/// The two storages, by the names they give themselves.
pub(crate) const KINDS: [&str; 2] = ["mongodb", "gridfs"];

/// A database that nobody else uses; dropped with this value.
#[derive(Clone)]
pub(crate) struct Scratch {
    pub(crate) url: String,
    pub(crate) name: String,
}

impl Scratch {
    pub(crate) fn new() -> Option<Self> {
        server().map(Self::on)
    }

    pub(crate) fn on(url: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { url, name: format!("larder_test_{}_{number}", std::process::id()) }
    }

    pub(crate) fn mongo(&self) -> MongoStorageBuilder<MongoStorage> {
        MongoStorage::builder().url(&self.url).database(&self.name)
    }

    pub(crate) fn gridfs(&self) -> MongoStorageBuilder<GridFsStorage> {
        GridFsStorage::builder().url(&self.url).database(&self.name)
    }

    /// Opens one of [`KINDS`] by a URL with these options, in a collection called like it.
    pub(crate) async fn open(&self, kind: &str, options: &str) -> Result<Arc<dyn DynStorage>, StorageError> {
        let prefix = if kind == "gridfs" { "gridfs+" } else { "" };
        let (server, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (server, name) = (server.trim_end_matches('/'), &self.name);
        let url = format!("{prefix}{server}/{name}?collection={kind}&{query}&{options}");
        larder::storage::open(url.trim_end_matches('&')).await
    }

    /// Host and port of the (first) server.
    pub(crate) fn host(&self) -> &str {
        let url = self.url.split_once("://").unwrap().1;
        let authority = url.split(['/', '?']).next().unwrap();
        authority.rsplit('@').next().unwrap().split(',').next().unwrap()
    }

    /// The driver's own view of the database.
    pub(crate) async fn database(&self) -> Database {
        Client::with_uri_str(&self.url).await.unwrap().database(&self.name)
    }

    pub(crate) async fn collection(&self, name: &str) -> Collection<Document> {
        self.database().await.collection(name)
    }

    pub(crate) fn dropped_in_the_end(&self) -> DropsDatabase {
        DropsDatabase(self.clone())
    }
}

pub(crate) struct DropsDatabase(Scratch);

impl Drop for DropsDatabase {
    fn drop(&mut self) {
        let scratch = self.0.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { scratch.database().await.drop().await.ok() });
        });
        dropping.join().ok();
    }
}

/// A server of a test's own, to be killed and started again; stopped with this value.
pub(crate) struct Own {
    pub(crate) url: String,
    mode: &'static str,
    dir: tempfile::TempDir,
}

impl Own {
    /// Starts one where the servers are installed (`LARDER_SERVERS_CACHE`, as scripts/test sets it).
    pub(crate) fn start(mode: &'static str) -> Option<Self> {
        if std::env::var("LARDER_SERVERS_CACHE").is_err() {
            println!("skipped: no LARDER_SERVERS_CACHE");
            return None;
        }
        let mut own = Self { url: String::new(), mode, dir: tempfile::tempdir().unwrap() };
        own.restart();
        let env = std::fs::read_to_string(own.dir.path().join("env")).unwrap();
        let url = env.lines().find_map(|line| line.split_once("URL=")).unwrap().1;
        own.url = url.trim_matches(['"', '\'']).to_owned();
        Some(own)
    }

    pub(crate) fn restart(&self) {
        self.script(&["start", self.dir.path().to_str().unwrap(), self.mode]);
    }

    pub(crate) fn kill(&self) {
        self.script(&["kill", self.dir.path().to_str().unwrap()]);
    }

    fn script(&self, arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers/mongod.sh");
        let done = std::process::Command::new(script).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}
