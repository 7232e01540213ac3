//! A server that is killed and comes back, under load.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::storage::{Storage, StorageErrorKind};
use tokio::task::JoinSet;

use crate::samples::{body, head, key, read, store, try_store};
use crate::server::{builder, client, table};

fn script(arguments: &[&str]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers/dynoxide.sh");
    let output = Command::new(script).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A server of the test's own, gone when this is dropped.
struct Server {
    dir: tempfile::TempDir,
    url: String,
}

impl Server {
    fn start() -> Option<Self> {
        let installed = std::env::var_os("LARDER_SERVERS_CACHE").is_some_and(|cache| {
            std::fs::read_dir(PathBuf::from(cache)).is_ok_and(|mut entries| {
                entries.any(|entry| {
                    entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("dynoxide-"))
                })
            })
        });
        if !installed {
            println!("skipped: no dynoxide in LARDER_SERVERS_CACHE");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let printed = script(&["start", dir.path().to_str().unwrap(), "file"]).expect("the server starts");
        let url = printed.trim().strip_prefix("DYNAMODB_URL=").expect("its address").to_owned();
        Some(Self { dir, url })
    }

    fn kill(&self) {
        script(&["kill", self.dir.path().to_str().unwrap()]).expect("the server ends");
    }

    fn restart(&self) {
        script(&["start", self.dir.path().to_str().unwrap(), "file"]).expect("the server starts again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["stop", self.dir.path().to_str().unwrap()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_and_restarted_under_load_costs_only_misses() {
    let Some(server) = Server::start() else { return };
    let (client, table) = (client(&server.url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    let sizes = [10, 5_000, 700_000];
    for (number, len) in sizes.into_iter().enumerate() {
        store(&storage, &head(&format!("kept-{number}")), &body(len)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..8_usize {
        let (storage, stop) = (storage.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let (mut good, mut bad) = (0, 0);
            let known = [StorageErrorKind::Unavailable, StorageErrorKind::Timeout, StorageErrorKind::Missing];
            let name = format!("busy-{}", task % 3);
            while !stop.load(Ordering::Relaxed) {
                let len = sizes[(task + good) % 3];
                let stored = try_store(&storage, &head(&name), &body(len)).await;
                match stored {
                    Ok(_) => good += 1,
                    Err(error) => {
                        assert!(known.contains(&error.kind()), "{error}");
                        bad += 1;
                    }
                }
                let Ok(found) = storage.lookup(&key(&name)).await else { continue };
                for response in found.responses {
                    let (bytes, error) = read(&storage, &response).await;
                    match error {
                        Some(error) => assert!(known.contains(&error.kind()), "{error}"),
                        None => assert_eq!(bytes.len() as u64, response.head.body_len()),
                    }
                    assert!(body(bytes.len()) == bytes);
                }
            }
            (good, bad)
        });
    }
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.restart();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Relaxed);
    let done = tasks.join_all().await;
    println!("stores done and failed: {done:?}");
    assert!(done.iter().any(|(good, _)| *good > 0));
    store(&storage, &head("after"), &body(700_000)).await;
    crate::samples::is_whole(&storage, "after", &body(700_000)).await;
    for (number, len) in sizes.into_iter().enumerate() {
        crate::samples::is_whole(&storage, &format!("kept-{number}"), &body(len)).await;
    }
}
