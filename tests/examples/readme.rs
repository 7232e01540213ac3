//! The first program of the README, as a newcomer makes it: its two files in an empty folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::origin::Origin;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The first block of the README that begins with a fence of this language.
fn first_block(language: &str) -> String {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let mut lines = readme.lines().skip_while(|line| !line.starts_with(&format!("```{language}")));
    lines.next().unwrap_or_else(|| panic!("README.md has no {language} block"));
    lines.take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect()
}

/// `Cargo.toml` as the README has it, but for where larder is.
fn manifest() -> String {
    let block = first_block("toml");
    let published = format!(r#"larder = "{}""#, env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0);
    assert_eq!(block.lines().filter(|line| *line == published).count(), 1, "no line {published} in {block}");
    block.replace(&published, &format!("larder = {{ path = '{ROOT}' }}"))
}

/// Compiles the program in `folder` and returns its path. Nothing is downloaded: the versions are those this test was
/// built with.
fn compile(folder: &Path) -> PathBuf {
    fs::write(folder.join("Cargo.toml"), manifest()).unwrap();
    fs::create_dir(folder.join("src")).unwrap();
    fs::write(folder.join("src/main.rs"), first_block("rust")).unwrap();
    fs::copy(Path::new(ROOT).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Dependencies are compiled once, whichever folder the program is in.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(folder)
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let name = manifest().lines().find_map(|line| line.strip_prefix("name = ")).unwrap().replace('"', "");
    target.join("debug").join(name).with_extension(env::consts::EXE_EXTENSION)
}

fn run(program: &Path, folder: &Path, url: &str) -> String {
    let ran = Command::new(program).arg(url).current_dir(folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_first_program_of_the_readme_compiles_and_its_second_run_starts_warm() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path());
    // One that goes into the store in one piece, and one that streams there.
    for length in ["559", "300000"] {
        let origin = Origin::start();
        let url = origin.url(&format!("/{length}"));
        let first = run(&program, folder.path(), &url);
        assert_eq!(first, format!("{length} bytes, larder; fwd=uri-miss; fwd-status=200; stored\n"));
        for _ in 0..3 {
            let again = run(&program, folder.path(), &url);
            assert!(again.starts_with(&format!("{length} bytes, larder; hit; ttl=3")), "{again}");
        }
        assert_eq!(origin.asked(), 1);
    }
    assert!(folder.path().join("cache.db").is_file());
}

/// That one is a doc test there: this crate cannot depend on it.
#[test]
fn the_program_with_reqwest_is_that_of_larder_reqwest() {
    let read = |path: &str| fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let program = |text: &str| {
        let lines = text.lines().skip_while(|line| {
            *line != "use larder_reqwest::{CachedClient, cache_status, storage::SqliteStorage};"
        });
        lines.take_while(|line| *line != "```").map(str::to_owned).collect::<Vec<_>>()
    };
    let theirs = program(&read("crates/reqwest/README.md"));
    assert!(theirs.len() > 5);
    assert_eq!(program(&read("README.md")), theirs);
}
