//! Killed at any moment: what was acknowledged as published is a hit afterwards, and what was acknowledged as
//! invalidated is not.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::ChildStdout;
use std::time::Duration;

use crate::child::{Backend, Client};

const LENS: [usize; 8] = [200, 20_000, 300, 100_000, 400, 5_000, 500, 700_000];

/// Stores, replaces and invalidates without end, and says so line by line.
///
/// `kept PATH VERSION`: it was a hit. `gone PATH`: a request that invalidates it has been answered. `going PATH` and
/// `coming PATH VERSION` announce that either may happen from now on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of other tests"]
async fn child_stores() {
    let Some(storage) = Backend::of_child() else { return };
    let client = Client::over(storage);
    say("ready");
    futures_util::future::join_all((0..4).map(|task| stores(&client, task))).await;
}

async fn stores(client: &Client, task: usize) {
    let process = std::process::id();
    for round in 0_u64.. {
        let path_of = |round: u64| format!("/{process}/{task}/{round}/{}", LENS[(round % 8) as usize]);
        let path = path_of(round);
        keep(client, &path, 0).await;
        if round % 3 == 2 {
            let earlier = path_of(round - 1);
            say(&format!("going {earlier}"));
            client.post(&earlier).await;
            say(&format!("gone {earlier}"));
            if round % 2 == 0 {
                keep(client, &earlier, 1).await;
            }
        }
    }
}

async fn keep(client: &Client, path: &str, version: u64) {
    say(&format!("coming {path} {version}"));
    client.versions.set(path, version);
    // The second time it is found in the store, which says that it has been published.
    for _ in 0..3 {
        if client.get(path, false).await.unwrap().is_hit {
            say(&format!("kept {path} {version}"));
            return;
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// What may be in the store under a path.
#[derive(Clone, Debug, Default)]
struct May {
    versions: Vec<u64>,
    be_absent: bool,
}

/// What the child said until it was killed.
fn listen(out: ChildStdout, ready: &std::sync::mpsc::Sender<()>) -> HashMap<String, May> {
    let mut told: HashMap<String, May> = HashMap::new();
    let mut lines = BufReader::new(out);
    loop {
        let mut line = String::new();
        // A last line without an end was cut.
        if lines.read_line(&mut line).unwrap_or_default() == 0 || !line.ends_with('\n') {
            return told;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["ready"] => ready.send(()).unwrap(),
            [what @ ("coming" | "kept"), path, version] => {
                let (may, version) = (told.entry(path.to_owned()).or_default(), version.parse().unwrap());
                if what == "kept" {
                    *may = May { versions: vec![version], be_absent: false };
                } else {
                    may.be_absent |= may.versions.is_empty();
                    may.versions.push(version);
                }
            }
            ["going", path] => told.get_mut(path).unwrap().be_absent = true,
            ["gone", path] => *told.get_mut(path).unwrap() = May { versions: Vec::new(), be_absent: true },
            _ => {}
        }
    }
}

/// Runs a child for so long, and kills it.
fn round(backend: Backend, place: &Path, lives: Duration) -> HashMap<String, May> {
    let mut child = backend.child("kill::child_stores", place);
    let out = child.stdout.take().unwrap();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || listen(out, &ready));
    is_ready.recv_timeout(Duration::from_secs(60)).expect("the child opens the store");
    std::thread::sleep(lives);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "it died by itself: {status}");
    listener.join().unwrap()
}

/// Returns how many are kept, and may be used at once.
async fn check(backend: Backend, place: &Path, told: &HashMap<String, May>) -> usize {
    let client = Client::over(backend.open(place));
    let mut validated = 0;
    for (path, may) in told {
        match client.get(path, true).await {
            Some(got) => assert!(may.versions.contains(&got.version), "{path}: {} for {may:?}", got.version),
            None if may.be_absent => {}
            // Requests that invalidate something else may have it validated as well, by chance. It is there all the same.
            None => {
                client.versions.set(path, may.versions[0]);
                let got = client.get(path, false).await.unwrap();
                assert!(got.is_validated, "{path}: lost, for {may:?}");
                validated += 1;
            }
        }
    }
    told.values().filter(|may| !may.be_absent).count() - validated
}

/// Rounds in one store, before it is as large as is good for a test.
const IN_ONE_STORE: u64 = 12;

fn what_was_published_stays(backend: Backend) {
    let rounds = std::env::var("LARDER_KILLS").map_or(24, |rounds| rounds.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut state = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() | 1;
    let (mut kept, mut done) = (0, 0);
    while done < rounds {
        let place = tempfile::tempdir().unwrap();
        let mut told = HashMap::new();
        for _ in 0..IN_ONE_STORE.min(rounds - done) {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let lives = Duration::from_micros(1000 + u64::from(state >> 8) % 300_000);
            let new = round(backend, place.path(), lives);
            kept += runtime.block_on(check(backend, place.path(), &new)) as u64;
            told.extend(new);
            done += 1;
        }
        // What the first child left has outlived all that came after.
        kept += runtime.block_on(check(backend, place.path(), &told)) as u64;
    }
    println!("{backend:?}: {kept} hits after {done} kills");
    assert!(kept > rounds, "only {kept} hits after {rounds} kills");
}

#[test]
fn what_sqlite_has_published_is_a_hit_after_a_kill() {
    what_was_published_stays(Backend::Sqlite);
}

#[test]
fn what_files_have_published_is_a_hit_after_a_kill() {
    what_was_published_stays(Backend::Files);
}

#[test]
fn what_json_files_have_published_is_a_hit_after_a_kill() {
    what_was_published_stays(Backend::Json);
}
