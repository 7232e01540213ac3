//! Every call of the system that a publication makes fails once: no space left, a broken disk, no file to be had,
//! interrupted. The caller is always served, nothing wrong is stored, and later requests work.
//!
//! `strace` makes the calls fail; where it is not installed, or may not trace, this is skipped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::child::{Backend, Client};

const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EMFILE", "EINTR"];
/// The calls that work on files. `mmap` and the like are left out, because the allocator makes them too.
const CALLS: [&str; 39] = [
    "chmod",
    "copy_file_range",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fchown",
    "fcntl",
    "fdatasync",
    "flock",
    "fstat",
    "fsync",
    "ftruncate",
    "getdents64",
    "link",
    "linkat",
    "lseek",
    "lstat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "pwrite64",
    "pwritev",
    "read",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "statx",
    "sync_file_range",
    "unlink",
    "unlinkat",
    "utimensat",
    "write",
];
const BEFORE: &str = "/before/300";
/// Stored in one go, in several pieces, and while it passes.
const PATHS: [&str; 3] = ["/small/300", "/medium/40000", "/large/300000"];

/// Publishes and reads, once it is told to.
#[test]
#[ignore = "the child of other tests"]
fn child_publishes() {
    child(&async |client| {
        for _ in 0..2 {
            for path in PATHS {
                served(client, path).await;
            }
        }
    });
}

/// Sends a request that invalidates, once it is told to.
#[test]
#[ignore = "the child of other tests"]
fn child_invalidates() {
    child(&async |client| {
        client.versions.set(BEFORE, 1);
        client.post(BEFORE).await;
        for _ in 0..2 {
            assert_eq!(served(client, BEFORE).await, 1, "a hit from before the request that invalidates it");
        }
    });
}

/// Nothing here writes to a pipe or an eventfd meanwhile, so that only calls for the store can be made to fail.
fn child(acts: &impl AsyncFn(&Client)) {
    let Some(storage) = Backend::of_child() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let client = Client::over(storage);
    runtime.block_on(async {
        client.get(BEFORE, false).await;
        assert!(client.get(BEFORE, false).await.unwrap().is_hit);
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready").unwrap();
    out.flush().unwrap();
    // This call may fail as well.
    while std::io::stdin().read_exact(&mut [0]).is_err() {}
    let acts = std::panic::AssertUnwindSafe(|| runtime.block_on(acts(&client)));
    let failed = std::panic::catch_unwind(acts).is_err();
    // Without a word of the test harness, which might be the call that fails.
    std::process::exit(i32::from(failed));
}

/// The version that a caller gets. A hit may break off when the store cannot be read on; who asks again is served.
async fn served(client: &Client, path: &str) -> u64 {
    let mut got = client.try_get(path, false).await;
    for _ in 0..2 {
        if got.is_err() {
            got = client.try_get(path, false).await;
        }
    }
    got.expect("served in the end").unwrap().version
}

/// Whether calls can be made to fail here.
fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "-e", "trace=none", "true"]).output();
    let can = traced.is_ok_and(|output| output.status.success());
    if !can {
        println!("skipped: strace is not installed, or may not trace");
        assert!(std::env::var_os("LARDER_REQUIRE_STRACE").is_none(), "strace is required");
    }
    can
}

/// Runs the child while strace looks, and makes some call fail. Returns strace's log.
fn traced(backend: Backend, test: &str, place: &Path, inject: Option<&str>) -> String {
    let mut child = backend.child(test, place);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the child ended before it was ready");
    }
    let log = place.join("strace.log");
    let id = child.id().to_string();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &id, "-o"]).arg(&log);
    let traced = CALLS.map(|call| format!("?{call}")).join(",");
    strace.args(["-e", &format!("trace={traced}")]);
    if let Some(inject) = inject {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    let mut strace = strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(strace.stderr.take().unwrap());
    line.clear();
    while !line.contains("attached") {
        line.clear();
        assert_ne!(told.read_line(&mut line).unwrap(), 0, "strace cannot attach");
    }
    // It may have more to say, and must not wait for somebody to listen.
    std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            strace.wait().unwrap();
            panic!("{backend:?} hangs after {inject:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    strace.wait().unwrap();
    assert!(status.success(), "{backend:?}, {inject:?}: {status}");
    std::fs::read_to_string(log).unwrap()
}

/// How often each call is made by the thread that makes it most often: strace counts for each thread apart.
fn calls(backend: Backend, test: &str) -> BTreeMap<String, usize> {
    let place = tempfile::tempdir().unwrap();
    let mut counts = BTreeMap::<_, usize>::new();
    for line in traced(backend, test, place.path(), None).lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let name = rest.trim_start().split('(').next().unwrap_or_default();
        if CALLS.contains(&name) {
            *counts.entry((name.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in counts {
        let so_far: &mut usize = most.entry(name).or_default();
        *so_far = count.max(*so_far);
    }
    most
}

/// What is left is right, and the store can be used as before.
fn check(backend: Backend, place: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::over(backend.open(place));
        for path in PATHS {
            client.get(path, true).await;
        }
        client.versions.set(BEFORE, 1);
        for path in PATHS.into_iter().chain([BEFORE]) {
            client.get(path, false).await;
            assert!(client.get(path, false).await.unwrap().is_hit, "{path} cannot be stored any more");
        }
    });
}

fn each_call_fails_once(backend: Backend, test: &str) {
    if !can_trace() {
        return;
    }
    let calls = calls(backend, test);
    println!("{backend:?}: {calls:?}");
    assert!(calls.values().sum::<usize>() > 10, "nothing was seen: {calls:?}");
    let all = std::env::var_os("LARDER_EVERY_CALL").is_some();
    let (mut turn, mut injected) = (0, 0);
    for (call, count) in calls {
        // Some of them, each with another error, unless all are wanted.
        let most = if all { count } else { 3 };
        for nth in (0..most.min(count)).map(|nth| 1 + nth * count / most.min(count)) {
            let errors = if all { &ERRORS[..] } else { &ERRORS[turn % 4..=turn % 4] };
            turn += 1;
            for error in errors {
                let place = tempfile::tempdir().unwrap();
                let log =
                    traced(backend, test, place.path(), Some(&format!("{call}:error={error}:when={nth}")));
                check(backend, place.path());
                injected += log.lines().filter(|line| line.ends_with("(INJECTED)")).count();
            }
        }
    }
    println!("{backend:?}: {injected} calls failed");
    assert!(injected > 10, "only {injected} calls failed");
}

#[test]
fn a_publication_in_sqlite_survives_each_call_that_fails() {
    each_call_fails_once(Backend::Sqlite, "syscalls::child_publishes");
}

#[test]
fn a_publication_in_files_survives_each_call_that_fails() {
    each_call_fails_once(Backend::Files, "syscalls::child_publishes");
}

#[test]
fn a_publication_in_json_files_survives_each_call_that_fails() {
    each_call_fails_once(Backend::Json, "syscalls::child_publishes");
}

#[test]
fn an_invalidation_in_sqlite_survives_each_call_that_fails() {
    each_call_fails_once(Backend::Sqlite, "syscalls::child_invalidates");
}

#[test]
fn an_invalidation_in_files_survives_each_call_that_fails() {
    each_call_fails_once(Backend::Files, "syscalls::child_invalidates");
}

#[test]
fn an_invalidation_in_json_files_survives_each_call_that_fails() {
    each_call_fails_once(Backend::Json, "syscalls::child_invalidates");
}
