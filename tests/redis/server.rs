//! A server of a test's own, and short ways to use a storage.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use larder::clock::{Clock, SystemClock, Timestamp};
use larder::entry::{BodyEnd, StoredBody, StoredHead};
use larder::key::CacheKey;
use larder::storage::redis::RedisStorageBuilder;
use larder::storage::{BodyReader, BodyWriter, Published, RedisStorage, Storage, StorageError};
use tokio::task::JoinHandle;

/// Started by `scripts/servers/redis.sh`, and stopped in the end.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    arguments: Vec<&'static str>,
    env: Vec<(String, String)>,
}

impl Server {
    /// `None`, and a line that says so, where there is no Redis.
    pub(crate) fn start(arguments: &[&'static str]) -> Option<Self> {
        let valkey = std::env::var("VALKEY").is_ok_and(|value| !value.is_empty());
        let program = if valkey { "valkey-server" } else { "redis-server" };
        if Command::new(program).arg("--version").output().is_err() {
            assert!(std::env::var_os("LARDER_REQUIRE_SERVERS").is_none(), "there is no {program}");
            println!("skipped: no {program}");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self { directory, arguments: arguments.to_vec(), env: Vec::new() };
        server.again();
        Some(server)
    }

    /// Starts it again with the same port.
    pub(crate) fn again(&mut self) {
        let directory = self.directory.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["start", &directory];
        arguments.extend(&self.arguments);
        let output = script(&arguments);
        self.env = output.lines().filter_map(|line| line.split_once('=')).map(own).collect();
    }

    pub(crate) fn kill(&self) {
        script(&["kill", self.directory.path().to_str().unwrap()]);
    }

    /// Sends a signal to one server of several.
    pub(crate) fn signal(&self, node: &str, signal: &str) {
        let pid = std::fs::read_to_string(self.directory.path().join(node).join("pid")).unwrap();
        let sent = Command::new("kill").args(["-s", signal, pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn var(&self, name: &str) -> &str {
        &self.env.iter().find(|(found, _)| found == name).expect("the script says it").1
    }

    pub(crate) fn url(&self) -> &str {
        self.var("REDIS_URL")
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url().trim_start_matches("redis://").trim_end_matches('/')
    }

    pub(crate) async fn run(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["stop", self.directory.path().to_str().unwrap()]);
    }
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn script(arguments: &[&str]) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/servers/redis.sh");
    let output = Command::new(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn builder() -> RedisStorageBuilder {
    RedisStorage::builder().strict()
}

pub(crate) fn key(name: &str) -> CacheKey {
    CacheKey::builder().part(CacheKey::URI, format!("https://redis.example/{name}")).build()
}

pub(crate) fn in_seconds(seconds: i64) -> Timestamp {
    SystemClock.now().plus_millis(seconds * 1000)
}

pub(crate) fn head(name: &str) -> StoredHead {
    let mut head = StoredHead::new(key(name), StatusCode::OK);
    head.response_time = SystemClock.now();
    head.usable_until = in_seconds(600);
    head
}

pub(crate) async fn store(
    storage: &RedisStorage,
    mut head: StoredHead,
    len: usize,
) -> Result<Published, StorageError> {
    let found = storage.lookup(&head.key).await?;
    head.as_of = found.as_of;
    let mut writer = storage.begin(head, found.fence).await?;
    writer.write(Bytes::from(vec![b'x'; len])).await?;
    writer.publish(BodyEnd::default()).await
}

/// The length of the only response's body; nothing for a miss.
pub(crate) async fn read(storage: &RedisStorage, name: &str) -> Result<Option<usize>, StorageError> {
    let found = storage.lookup(&key(name)).await?;
    let Some(response) = found.responses.first() else { return Ok(None) };
    match &response.body {
        StoredBody::Inline(body) => Ok(Some(body.len())),
        _ => {
            let (mut reader, mut len) = (storage.open(&response.head).await?, 0);
            while let Some(piece) = reader.next().await? {
                len += piece.len();
            }
            Ok(Some(len))
        }
    }
}

/// So many tasks that store and read a few names for so long; each returns how often it stored.
pub(crate) fn load(
    storage: &RedisStorage,
    tasks: usize,
    names: usize,
    lasting: Duration,
) -> Vec<JoinHandle<usize>> {
    let task = |task: usize| {
        let storage = storage.clone();
        tokio::spawn(async move {
            let (mut stored, until) = (0, Instant::now() + lasting);
            while Instant::now() < until {
                let name = format!("{}", task % names);
                stored += usize::from(store(&storage, head(&name), 50_000).await.is_ok());
                if let Ok(Some(len)) = read(&storage, &name).await {
                    assert_eq!(len, 50_000, "never short");
                }
            }
            stored
        })
    };
    (0..tasks).map(task).collect()
}
