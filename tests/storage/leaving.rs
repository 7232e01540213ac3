//! Programs that end at once after they have read a response: the next run finds it stored.
//!
//! The programs are this test binary, told by a variable. `LARDER_TEST_LEAVING` says how many rounds are made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use larder::CacheLayer;
use larder::storage::DynStorage;
use tower::{Layer, ServiceExt};

use crate::support::{Frames, Origin, ask, get, with_body};

const PROGRAM: &str = "LARDER_TEST_LEAVING_PROGRAM";
const DIR: &str = "LARDER_TEST_LEAVING_DIR";
const LENGTHS: [usize; 6] = [0, 1_000, 60_000, 100_000, 300_000, 5_000_000];
/// What hyper hands out at a time.
const FRAME: usize = 16 * 1024;

/// How a program ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// By returning from `main`, right after the last byte.
    Return,
    /// By `exit`, which drops nothing, after `flush`.
    FlushAndExit,
}

/// A program that fetches one response.
#[derive(Clone, Copy, Debug)]
struct Program {
    backend: &'static str,
    threads: bool,
    announced: bool,
    ending: Ending,
    len: usize,
    round: usize,
}

impl Program {
    fn url(self) -> String {
        format!("http://example.com/{}/{}", self.len, self.round)
    }

    fn body(self) -> Bytes {
        (0..self.len).map(|at| (at / 7 + at / 65_536 + self.round) as u8).collect::<Vec<_>>().into()
    }

    fn origin(self) -> Origin {
        let body = self.body();
        Origin::new(move |_, _| {
            let mut pieces = body.clone();
            let mut frames = Frames::of(&[]);
            while !pieces.is_empty() {
                frames.frames.push_back(Ok(Frame::data(pieces.split_to(pieces.len().min(FRAME)))));
            }
            let length = body.len().to_string();
            let framing =
                if self.announced { ("content-length", &*length) } else { ("transfer-encoding", "chunked") };
            let fields = [("cache-control", "max-age=60"), framing];
            Ok(with_body(200, &fields, frames.boxed()))
        })
    }

    fn encoded(self) -> String {
        let Self { backend, threads, announced, ending, len, round } = self;
        let flush = matches!(ending, Ending::FlushAndExit);
        format!("{backend} {threads} {announced} {flush} {len} {round}")
    }

    fn decoded(text: &str) -> Self {
        let words: Vec<_> = text.split(' ').collect();
        let is = |at: usize| words[at] == "true";
        let ending = if is(3) { Ending::FlushAndExit } else { Ending::Return };
        let backend = BACKENDS.iter().find(|backend| **backend == words[0]).unwrap();
        let (len, round) = (words[4].parse().unwrap(), words[5].parse().unwrap());
        Self { backend, threads: is(1), announced: is(2), ending, len, round }
    }

    fn run(self, dir: &Path) {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leaving::program", "--ignored"])
            .env(PROGRAM, self.encoded())
            .env(DIR, dir)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{self:?}");
    }

    /// What the program does, up to its end.
    async fn fetch(self, storage: Arc<dyn DynStorage>) {
        // This machine may be busy: what is asked here is what happens when nobody comes back to wait.
        let patience = std::time::Duration::from_secs(20);
        let layer = CacheLayer::new(storage).storage_patience(patience).storage_deadline(patience);
        let cache = layer.layer(self.origin());
        let mut body = cache.clone().oneshot(get(&self.url())).await.unwrap().into_body();
        let mut left = self.len;
        // As hyper does: not asked again after the last byte, where it is known which that is.
        while !(http_body::Body::is_end_stream(&body) || self.announced && self.len > 0 && left == 0) {
            let Some(frame) = body.frame().await else { break };
            left -= frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(left, 0);
        if let Ending::FlushAndExit = self.ending {
            layer.flush().await;
            std::process::exit(0);
        }
    }
}

const BACKENDS: &[&str] = &[
    #[cfg(feature = "sqlite")]
    "sqlite",
    #[cfg(all(feature = "filesystem", unix))]
    "filesystem",
];

fn open(backend: &str, dir: &Path) -> Arc<dyn DynStorage> {
    match backend {
        #[cfg(feature = "sqlite")]
        "sqlite" => Arc::new(larder::storage::SqliteStorage::open(dir.join("cache.db")).unwrap()),
        #[cfg(all(feature = "filesystem", unix))]
        "filesystem" => Arc::new(larder::storage::FileStorage::open(dir.join("cache")).unwrap()),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "the child of other tests"]
fn program() {
    let Ok(program) = std::env::var(PROGRAM) else { return };
    let program = Program::decoded(&program);
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let mut runtime = if program.threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async { program.fetch(open(program.backend, &dir)).await });
}

/// "The second run starts warm."
fn is_stored(backend: &'static str, ending: Ending) {
    let rounds =
        std::env::var("LARDER_TEST_LEAVING").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2);
    let dir = tempfile::tempdir().unwrap();
    let mut programs = Vec::new();
    for round in 0..rounds {
        for len in LENGTHS {
            for (threads, announced) in [(false, false), (true, false), (false, true), (true, true)] {
                let number = programs.len();
                let program = Program { backend, threads, announced, ending, len, round: number };
                program.run(dir.path());
                programs.push(program);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let missing: Vec<_> = runtime.block_on(async {
            let layer = CacheLayer::new(open(backend, dir.path()))
                .storage_deadline(std::time::Duration::from_secs(20));
            let mut missing = Vec::new();
            for program in programs.drain(..) {
                let seen = ask(&layer.layer(program.origin()), get(&program.url())).await;
                assert_eq!(seen.body, program.body(), "{program:?}");
                if !seen.is_hit() {
                    missing.push(program);
                }
            }
            missing
        });
        assert!(missing.is_empty(), "round {round}: {missing:#?}");
    }
}

macro_rules! tests {
    ($backend:ident) => {
        mod $backend {
            use super::{Ending, is_stored};

            #[test]
            fn what_was_read_to_its_end_is_stored_when_main_returns() {
                is_stored(stringify!($backend), Ending::Return);
            }

            #[test]
            fn what_was_read_to_its_end_is_stored_after_a_flush() {
                is_stored(stringify!($backend), Ending::FlushAndExit);
            }
        }
    };
}

#[cfg(feature = "sqlite")]
tests!(sqlite);
#[cfg(all(feature = "filesystem", unix))]
tests!(filesystem);
