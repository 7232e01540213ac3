//! Killed at any moment: what is found afterwards is whole, and nothing leaks.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use larder::clock::Timestamp;
use larder::storage::{BodyWriter, SqliteStorage, Storage};

use crate::support::*;

/// Names the file to a child.
pub(crate) const ROLE: &str = "LARDER_CHILD_FILE";

/// This test binary again, running one of its tests.
pub(crate) struct Child(std::process::Child);

impl Child {
    pub(crate) fn start(test: &str, role: &str, path: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(ROLE, path)
            .env("LARDER_CHILD", role)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    pub(crate) fn kill_after(mut self, time: Duration) {
        std::thread::sleep(time);
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Stores without end; run and killed by [`a_killed_process_leaves_whole_responses_and_no_orphans`].
#[tokio::test]
async fn child_writes() {
    let Some(path) =
        std::env::var_os(ROLE).filter(|_| std::env::var("LARDER_CHILD").as_deref() == Ok("write"))
    else {
        return;
    };
    let storage = SqliteStorage::open(path).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4_u64 {
        let storage = storage.clone();
        tasks.spawn(async move {
            for round in 0.. {
                let size = [100, 20_000, 700_000, 3_000_000][usize::try_from(task).unwrap()];
                let name = format!("{task}/{}", round % 5);
                // The caller is told that this one is stored: it has to be there after the crash.
                put(&storage, &key(&name), &body(task, size)).await;
                if round % 7 == 6 {
                    let key = key("unfinished");
                    let mut writer = storage.begin(head(&key), fence(&storage, &key).await).await.unwrap();
                    writer.write(body(task, 500_000)).await.unwrap();
                    if round % 2 == 0 {
                        writer.abort().await;
                    }
                }
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_killed_process_leaves_whole_responses_and_no_orphans() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    for round in 0..30 {
        Child::start("crash::child_writes", "write", &path)
            .kill_after(Duration::from_millis(30 + round * 17 % 200));
        let storage = SqliteStorage::open(&path).unwrap();
        storage.maintain(Timestamp::EPOCH).await.unwrap();
        let mut next = None;
        let mut count_listed = 0;
        loop {
            let page = storage.responses(next.as_ref(), 100).await.unwrap();
            for head in page.items {
                count_listed += 1;
                read(&storage, &head).await.unwrap();
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(storage.usage().await.unwrap().responses, count_listed);
        assert!(storage.lookup(&key("unfinished")).await.unwrap().responses.is_empty());
        drop(storage);
        let sql = plain_sql(&path);
        assert_eq!(count(&sql, "SELECT count(*) FROM pending"), 0, "round {round}");
        assert_eq!(count(&sql, "SELECT count(*) FROM condemned"), 0, "round {round}");
        let stray = "SELECT count(*) FROM chunks WHERE body NOT IN
                     (SELECT chunked FROM responses WHERE chunked IS NOT NULL)";
        assert_eq!(count(&sql, stray), 0, "round {round}");
    }
}
