//! Random numbers for unique names: of bodies, tokens and fences.
//!
//! They come from the operating system, every time. `fork` would copy a generator in this process, and both
//! processes would use the same numbers. Two bodies would then have the same name.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// 128 random bits.
pub(crate) fn bits128() -> u128 {
    let mut bits = [0; 16];
    match getrandom::fill(&mut bits) {
        Ok(()) => u128::from_le_bytes(bits),
        Err(_) => u128::from(makeshift()) << 64 | u128::from(makeshift()),
    }
}

/// 64 random bits.
pub(crate) fn bits64() -> u64 {
    getrandom::u64().unwrap_or_else(|_| makeshift())
}

/// A random number that is not zero.
#[cfg(feature = "dynamodb")]
pub(crate) fn nonzero32() -> u32 {
    getrandom::u32().unwrap_or_else(|_| (makeshift() >> 32) as u32).max(1)
}

/// A random number that is not zero.
pub(crate) fn nonzero64() -> u64 {
    bits64().max(1)
}

/// Used if the operating system has no random numbers, which does not happen on supported systems after their start. It
/// mixes what differs between processes, threads, times and calls, under the random keys of std.
fn makeshift() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    RandomState::new().hash_one((std::process::id(), std::thread::current().id(), now, call))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            assert!(seen.insert(bits128()));
            assert!(seen.insert(bits64().into()));
            assert!(seen.insert(makeshift().into()));
        }
    }
}
