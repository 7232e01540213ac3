//! What has been published stays published when the process is killed, and a publication that the system refuses harms
//! nobody. The children are this test binary, told by a variable.
//!
//! Killing proves that nothing is lost with the process; that the system itself goes down (power) is another matter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![cfg(all(unix, feature = "filesystem", feature = "sqlite"))]

mod child;
mod kill;
#[cfg(target_os = "linux")]
mod syscalls;

use larder_test_support as support;
