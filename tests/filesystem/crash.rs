//! Processes that die in the middle, and several at once. The children are this test binary, told by a variable.

use crate::support::*;
use larder::clock::Timestamp;
use larder::storage::filesystem::{FileStorage, Format};
use larder::storage::{BodyWriter, Storage};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DIR: &str = "LARDER_TEST_CHILD_DIR";
const FORMAT: &str = "LARDER_TEST_CHILD_FORMAT";
const ROUNDS: &str = "LARDER_TEST_CHILD_ROUNDS";

fn child(path: &std::path::Path, format: Format, rounds: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_process", "--ignored", "--nocapture"])
        .env(DIR, path)
        .env(FORMAT, format.as_str())
        .env(ROUNDS, rounds.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Stores, reads, removes and evicts for as long as it may live; leaves with an error on a wrong byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of other tests"]
async fn child_process() {
    let Some(path) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let format = Format::from_name(&std::env::var(FORMAT).unwrap()).unwrap();
    let rounds: usize = std::env::var(ROUNDS).unwrap().parse().unwrap();
    let storage = FileStorage::builder().format(format).max_entries(40).open(&path).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let at_once = std::env::var("LARDER_TASKS").map_or(8_u64, |tasks| tasks.parse().unwrap());
    for task in 0..at_once {
        let storage = storage.clone();
        tasks.spawn(async move {
            for round in 0..rounds {
                let number = fastrand_number(task, round) % 60;
                let name = format!("{number}");
                let len = [50, 5_000, 70_000, 400_000][round % 4];
                match round % 9 {
                    7 => {
                        storage.remove(&key(&name)).await.unwrap();
                    }
                    8 => {
                        let now = fence(&storage, &head(&name)).await;
                        let mut writer = storage.begin(head(&name), now).await.unwrap();
                        writer.write(body(300_000)).await.unwrap();
                        writer.abort().await;
                    }
                    _ => {
                        let _ = try_store(&storage, head(&name), body(len)).await.unwrap();
                    }
                }
                check(&storage, &name).await;
                if task == 0 && round % 40 == 39 {
                    storage.clear(None).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

fn fastrand_number(task: u64, round: usize) -> u64 {
    let seed = u64::from(std::process::id()) << 32 | task << 16 | round as u64;
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

/// What is found must be whole; a body that went meanwhile is an error and no short body.
async fn check(storage: &FileStorage, name: &str) {
    for response in storage.lookup(&key(name)).await.unwrap().responses {
        if let Ok(found) = read(storage, &response).await {
            assert_eq!(found.len() as u64, response.head.body_len());
            assert_eq!(found, body(found.len()));
        }
    }
}

#[tokio::test]
async fn a_killed_process_leaves_whole_entries_and_no_remains() {
    let rounds = std::env::var("LARDER_TEST_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(25);
    for format in FORMATS {
        let (_dir, path) = place();
        for round in 0..rounds {
            let mut child = child(&path, format, usize::MAX >> 8);
            std::thread::sleep(Duration::from_millis(15 + (round * 7) % 90));
            child.kill().unwrap();
            child.wait().unwrap();
            let storage = FileStorage::builder().format(format).open(&path).unwrap();
            for number in 0..60 {
                let name = format!("{number}");
                for response in storage.lookup(&key(&name)).await.unwrap().responses {
                    let found = read(&storage, &response).await.expect("what has a head has its body");
                    assert_eq!(found, body(found.len()));
                }
            }
            assert!(files(&path.join("temp")).is_empty(), "opening removes the remains");
            let usage = storage.usage().await.unwrap();
            storage.maintain(Timestamp::EPOCH).await.unwrap();
            assert_eq!(storage.usage().await.unwrap(), usage, "the counters were right after the crash");
            let on_disk: u64 = ["responses", "bodies"]
                .iter()
                .flat_map(|dir| files(&path.join(dir)))
                .map(|file| file.metadata().unwrap().len())
                .sum();
            assert_eq!(on_disk, usage.bytes, "round {round}");
        }
    }
}

#[tokio::test]
async fn several_processes_share_one_directory() {
    for format in FORMATS {
        let (_dir, path) = place();
        let processes = std::env::var("LARDER_PROCESSES").map_or(4, |processes| processes.parse().unwrap());
        let children: Vec<_> = (0..processes).map(|_| child(&path, format, 60)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let storage = open(&path, format);
        let usage = storage.usage().await.unwrap();
        assert!(usage.responses <= 41, "{usage:?}");
        assert_eq!(storage.maintain(Timestamp::EPOCH).await.unwrap().orphans, 0);
        assert_eq!(storage.usage().await.unwrap(), usage);
    }
}
