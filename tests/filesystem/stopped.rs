//! A process that holds locks and does not go on. The child is this test binary, told by a variable.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;
use larder::storage::filesystem::FileStorage;
use larder::storage::{Published, Storage, StorageErrorKind};

const DIR: &str = "LARDER_TEST_STOPPED_DIR";
/// One fan-out directory of each writing thread.
const HELD: [u8; 4] = [0x10, 0x11, 0x12, 0x13];

#[test]
#[ignore = "the child of another test"]
fn holder() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let names = HELD.iter().map(|fan| format!("{fan:02x}")).chain(["invalidated".to_owned()]);
    let locks: Vec<_> = names
        .map(|name| {
            let path = dir.join("locks").join(name);
            let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
            file.lock().unwrap();
            file
        })
        .collect();
    println!("\nholding {}", locks.len());
    std::thread::sleep(Duration::from_secs(300));
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Names whose keys are in the held directories, and others.
fn names(held: bool) -> impl Iterator<Item = String> {
    (0..)
        .map(|number| format!("stopped-{number}"))
        .filter(move |name| HELD.contains(&key(name).digest()[0]) == held)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_that_holds_locks_takes_no_threads_of_others() {
    let (_dir, path) = place();
    let storage = FileStorage::open(&path).unwrap();
    let known: Vec<_> = names(true).take(4).collect();
    for name in &known {
        store(&storage, head(name), body(100_000)).await;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stopped::holder", "--ignored", "--nocapture"])
        .env(DIR, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("holding")));

    let (before, began) = (threads(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for name in names(true).take(600) {
        let storage = storage.clone();
        tasks.spawn(async move { try_store(&storage, head(&name), body(10)).await });
    }
    for _ in 0..100 {
        let storage = storage.clone();
        tasks.spawn(async move {
            storage.usage().await?;
            storage.invalidate(&[larder::entry::GroupId::of_target("http://example.com/")]).await?;
            Ok(Published::Stored)
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for name in &known {
        assert!(get(&storage, name).await.is_some(), "what is stored is found");
    }
    let most = threads();
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap().unwrap_err().kind(), StorageErrorKind::Unavailable);
    }
    println!("{before} threads, then {most}; {:?}", began.elapsed());
    assert!(most <= before + 70, "{before} threads, then {most}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    for name in names(false).take(20) {
        store(&storage, head(&name), body(10)).await;
    }

    child.kill().unwrap();
    child.wait().unwrap();
    let name = known.first().unwrap();
    store(&storage, head(name), body(11)).await;
    assert_eq!(get(&storage, name).await, Some(body(11)));
}
