//! How long to wait after failures.

use std::time::Duration;

/// The pause after so many failures before this one: `first`, doubled with each failure, at most `longest`.
pub(crate) fn back_off(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(20)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::{Duration, back_off};

    #[test]
    fn a_pause_doubles_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(20), Duration::from_secs(2));
        for (failures, millis) in [(0, 20), (1, 40), (6, 1280), (7, 2000), (u32::MAX, 2000)] {
            assert_eq!(back_off(first, failures, longest), Duration::from_millis(millis), "{failures}");
        }
        assert_eq!(back_off(Duration::MAX, 3, Duration::MAX), Duration::MAX);
    }
}
