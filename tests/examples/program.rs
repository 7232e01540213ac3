//! The example programs: built, run, asked.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// The features of this test binary: with others everything would be built again.
const FEATURES: [(&str, bool); 9] = [
    ("sqlite", cfg!(feature = "sqlite")),
    ("filesystem", cfg!(feature = "filesystem")),
    ("redis", cfg!(feature = "redis")),
    ("mongodb", cfg!(feature = "mongodb")),
    ("gridfs", cfg!(feature = "gridfs")),
    ("dynamodb", cfg!(feature = "dynamodb")),
    ("tower-http", cfg!(feature = "tower-http")),
    ("conformance", cfg!(feature = "conformance")),
    ("tracing", cfg!(feature = "tracing")),
];

/// The folder with the example programs, up to date. `cargo test --test examples` alone would leave older ones there.
fn examples() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let features: Vec<_> = FEATURES.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet", "--examples", "--no-default-features", "--features"]);
        cargo.arg(features.join(",")).arg("--target-dir").arg(target);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("CARGO_BUILD_TARGET").output();
        let built = built.unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        target.join(if cfg!(debug_assertions) { "debug" } else { "release" }).join("examples")
    })
}

pub(crate) fn example(name: &str) -> Command {
    let mut command = Command::new(examples().join(name).with_extension(env::consts::EXE_EXTENSION));
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end and returns the lines it printed.
pub(crate) fn lines(program: &mut Command) -> Vec<String> {
    let ran = program.output().unwrap();
    assert!(ran.status.success(), "{program:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// An example that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    /// Read no further, but open: a program that prints into a closed pipe ends.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it and waits for its first line, whose part after `says` begins with its address.
    pub(crate) fn start(program: &mut Command, says: &str) -> Self {
        let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let said = line.trim_end().strip_prefix(says).unwrap_or_else(|| panic!("{line:?}"));
        let address = said.trim_end_matches('/').to_owned();
        Self { child, address, _output: output }
    }

    /// The whole response to GET, as it came over the connection.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)
            .unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).unwrap();
        let _ = connection.shutdown(Shutdown::Both);
        response
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
