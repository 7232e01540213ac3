//! A process that holds locks and does not go on. The child is this test binary, told by a variable.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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

/// A process that holds its locks until it is killed.
fn hold(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stopped::holder", "--ignored", "--nocapture"])
        .env(DIR, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("holding")));
    child
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
    let mut child = hold(&path);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_hold_without_what_a_stopped_process_holds() {
    let (_dir, path) = place();
    let storage = FileStorage::builder().max_entries(40).open(&path).unwrap();
    // The oldest ones, which would be the first to go.
    for name in names(true).take(4) {
        store(&storage, head(&name), body(10)).await;
    }
    let mut child = hold(&path);
    let began = Instant::now();
    for name in names(false).take(100) {
        store(&storage, head(&name), body(10)).await;
    }
    let usage = storage.usage().await.unwrap();
    assert!(usage.responses <= 40, "{usage:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waited: {:?}", began.elapsed());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Where the lock is free for a moment only, and others are always quicker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_moves_is_waited_for_longer_than_a_stopped_process() {
    use std::os::unix::fs::FileExt;

    let (_dir, path) = place();
    let storage = FileStorage::open(&path).unwrap();
    store(&storage, head("a"), body(10)).await;
    let fan = key("a").digest()[0];
    let lock = File::options().write(true).open(path.join("locks").join(format!("{fan:02x}"))).unwrap();
    let state = File::options().write(true).open(path.join("state")).unwrap();
    lock.lock().unwrap();
    let (waiting, began) = (storage.clone(), Instant::now());
    let stored = tokio::spawn(async move { try_store(&waiting, head("a"), body(11)).await });
    for turn in 1_u64..=9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Each holder notes its change there: a header of 64 bytes, 160 for each fan-out directory.
        state.write_all_at(&turn.to_le_bytes(), 64 + u64::from(fan) * 160).unwrap();
    }
    drop(lock);
    assert_eq!(stored.await.unwrap().unwrap(), Published::Stored);
    assert!(began.elapsed() > Duration::from_secs(8));
    assert_eq!(get(&storage, "a").await, Some(body(11)));
    assert_eq!(storage.usage().await.unwrap().responses, 1);
}
